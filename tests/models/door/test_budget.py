"""A model is no larger than the file that fills it, whatever its sizes are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from models.door.changed_files import layer_of, plain_model, rewritten

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models import door
from tfday7.models.door import budget

FRAMEWORKS = {"keras3": keras3, "tf_keras": keras}
TOO_LARGE = r"ask for more than 256,000,000 bytes of weights"


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_a_kernel_of_small_numbers_may_still_be_too_large(which: str, tmp_path: Path) -> None:
    framework, path = FRAMEWORKS[which], tmp_path / "m.keras"
    inputs = framework.layers.Input((None, None, 1))
    framework.Model(inputs, framework.layers.Conv2D(1, 1, name="c")(inputs)).save(path)
    rewritten(path, lambda config: layer_of(config, "c")["config"].update(filters=4000, kernel_size=[1000, 1000]))
    with pytest.raises(UserError, match=TOO_LARGE):
        door.load(path)


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_many_small_layers_may_be_too_large_together(which: str, tmp_path: Path) -> None:
    framework, path = FRAMEWORKS[which], tmp_path / "m.keras"
    layers = [framework.layers.Dense(2, name=f"d{number}") for number in range(8)]
    framework.Sequential([framework.layers.Input((2,)), *layers]).save(path)

    def change(config: dict[str, Any]) -> None:
        for number in range(8):
            record = layer_of(config, f"d{number}")
            record["config"]["units"] = 4000
            record.pop("build_config", None)

    with pytest.raises(UserError, match=TOO_LARGE):
        door.load(rewritten(path, change))


def test_sizes_inside_the_settings_of_a_kept_layer_count(tmp_path: Path) -> None:
    inputs, path = keras3.Input((4, 2)), tmp_path / "m.keras"
    door.load(keras3.Model(inputs, keras3.layers.RMSNormalization(name="rms")(inputs))).save(path)
    hidden = {
        "layer_class": "Dense",
        "settings": json.dumps({"units": 2_000_000_000}),
        "build": json.dumps({"input_shape": [None, 4, 2]}),
    }
    rewritten(path, lambda config: layer_of(config, "rms")["config"].update(hidden))
    with pytest.raises(UserError, match=TOO_LARGE):
        door.load(path)


def test_a_first_value_that_is_larger_than_its_variable_counts(tmp_path: Path) -> None:
    """10,000 biases from a column of 10,000 values make 400 MB."""
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    column = {"module": "keras.initializers", "class_name": "Constant", "config": {"value": [[1.0]] * 10_000}}
    changed = {"units": 10_000, "bias_initializer": column}
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(changed))
    with pytest.raises(UserError, match=TOO_LARGE):
        door.load(path)


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_a_model_is_as_large_as_its_variables(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 x 2 weights and 2 biases of float32; tf_keras's models count steps in three numbers of 8 bytes."""
    sizes, size_bytes = [], budget._size_bytes

    def noted(arguments: dict[str, Any]) -> int:
        sizes.append(size_bytes(arguments))
        return sizes[-1]

    monkeypatch.setattr(budget, "_size_bytes", noted)
    plain_model(FRAMEWORKS[which]).save(tmp_path / "m.keras")
    door.read(tmp_path / "m.keras")
    assert sizes == [16, 8] + ([8, 8, 8] if which == "tf_keras" else [])
