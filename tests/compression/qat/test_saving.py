"""Models with fake quantization in files: the same outputs, trained on, and nothing of a file is executed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compression.qat.compared import images, with_statistics

from tfday7.compression import finetuning, qat
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras

LAYERS = keras.layers


def prepared() -> Any:
    """Returns a model with every class that `qat` brings."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.BatchNormalization()(LAYERS.MaxPooling2D()(inputs))
    x = LAYERS.LayerNormalization()(LAYERS.Dense(8, activation="tanh")(LAYERS.Reshape((16, 3))(x)))
    given = with_statistics(keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(x))))
    model, left = qat.prepare(given, images())
    assert left == []
    return model


def test_a_model_that_was_read_gives_the_same_outputs_and_trains_on_alike(tmp_path: Path) -> None:
    dataset, model = images(), prepared()
    qat.save(model, tmp_path / "quantized")
    again = qat.load(tmp_path / "quantized")
    x, y = dataset.train.x, dataset.train.y
    np.testing.assert_array_equal(again(x, training=False), model(x, training=False))
    for each in (model, again):
        each.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        each.fit(x, y, batch_size=32, shuffle=False, verbose=0)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_model_without_fake_quantization_is_not_saved_here(tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    with pytest.raises(UserError, match="has no fake quantization"):
        qat.save(keras.Model(inputs, LAYERS.Dense(1)(inputs)), tmp_path / "quantized")
    assert not (tmp_path / "quantized").exists()


def test_a_model_that_brings_code_is_read_where_that_is_allowed_and_copied_always(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.Lambda(lambda y: 2.0 * y, name="mine")(LAYERS.Dense(4)(LAYERS.Flatten()(inputs)))
    model, _ = qat.prepare(keras.Model(inputs, LAYERS.Dense(2)(x)), images())
    qat.save(model, tmp_path / "quantized")
    with pytest.raises(UserError, match=r"'mine' \(Lambda\) brings Python code"):
        qat.load(tmp_path / "quantized")
    given = images().train.x
    for again in (qat.load(tmp_path / "quantized", allow_unsafe=True), finetuning.copied(model)):
        np.testing.assert_array_equal(again(given, training=False), model(given, training=False))


def test_a_missing_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        qat.load(tmp_path / "none")
    (tmp_path / "cut").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError):
        qat.load(tmp_path / "cut")


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("tf_keras.layers", "Lambda")])
def test_a_file_that_names_other_code_is_refused(tmp_path: Path, module: str, name: str) -> None:
    path = tmp_path / "quantized"
    qat.save(prepared(), path)
    with zipfile.ZipFile(path) as file:
        members = {each: file.read(each) for each in file.namelist()}
    config = json.loads(members["config.json"])
    layer = config["config"]["layers"][1]
    layer |= {"module": module, "class_name": name, "registered_name": name}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for each, content in members.items():
            file.writestr(each, content)
    with pytest.raises(UserError):
        qat.load(path)
