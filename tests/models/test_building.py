"""From `--model` to a model that fits, or an error that says what does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tfday7 import stage_export
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.data import Problem
from tfday7.exporting.config import ModelExportConfig
from tfday7.models import ModelConfig, building
from tfday7.stage_export import Source

PROBLEM = Problem("classification", "tabular", (4,), 3, ("a", "b", "c"))

MODULE = """
from tfday7.core.frameworks import keras, keras3

def good(input_shape, outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(outputs)])

def of_keras3(input_shape, outputs):
    return keras3.Sequential([keras3.Input(input_shape), keras3.layers.Dense(outputs)])

def too_many_outputs(input_shape, outputs):
    return good(input_shape, outputs + 1)

def other_inputs(input_shape, outputs):
    return good((7,), outputs)

def two_inputs(input_shape, outputs):
    a, b = keras.Input(input_shape), keras.Input(input_shape)
    return keras.Model([a, b], keras.layers.Dense(outputs)(a + b))

def two_outputs(input_shape, outputs):
    inputs = keras3.Input(input_shape)
    return keras3.Model(inputs, [keras3.layers.Dense(1)(inputs), keras3.layers.Dense(outputs - 1)(inputs)])

def tied(input_shape, outputs):
    inputs, layer = keras.Input(input_shape), keras.layers.Dense(outputs, name="tied")
    x = layer(inputs) @ keras.backend.transpose(keras.backend.constant([[1.0] * outputs] * input_shape[0]))
    return keras.Model(inputs, keras.backend.dot(x, layer.kernel))

def no_model(input_shape, outputs):
    return 3

def failing(input_shape, outputs):
    return {}["missing"]

def no_arguments():
    return None

number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's on the path, and one that cannot be imported."""
    (tmp_path / "users_models.py").write_text(MODULE)
    (tmp_path / "users_broken.py").write_text("import math\nmath.no_such_thing\n")
    (tmp_path / "users_syntax.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("users_models", None)


def test_the_outputs_of_a_users_model_lie_side_by_side_in_the_order_of_the_targets() -> None:
    price = {"target_mean": np.array([2000.0], np.float32), "target_std": np.array([9.0], np.float32)}
    heads = (
        Problem("regression", "array", (), 1, name="price", **price),
        Problem("classification", "array", (), 2, name="city"),
    )
    problem = Problem("several", "tabular", (4,), 3, heads=heads)
    model = building.build(ModelConfig(model="python:users_models:two_outputs"), problem)
    assert model.output_shape == (None, 3)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    first, second = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    expected = np.concatenate([first(x), second(x)], axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-3)
    with pytest.raises(UserError, match="has 1 inputs and 2 outputs"):
        building.build(ModelConfig(model="python:users_models:two_outputs"), PROBLEM)
    with pytest.raises(UserError, match=r"shape \(4,\); the data has 3 columns of targets \(price: 1, city: 2\)"):
        building.build(ModelConfig(model="python:users_models:too_many_outputs"), problem)


@pytest.mark.parametrize("function", ["good", "of_keras3"])
def test_a_python_function_makes_the_model(function: str) -> None:
    model = building.build(ModelConfig(model=f"python:users_models:{function}"), PROBLEM)
    assert isinstance(model, keras.Model)
    assert model.count_params() == 4 * 3 + 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python:no_such_module:f", "cannot import no_such_module"),
        ("python:users_broken:f", "cannot import users_broken .*AttributeError.*users_broken.py line 2"),
        ("python:users_syntax:f", "cannot import users_syntax .*SyntaxError"),
        ("python:.relative:f", "cannot import .relative"),
        ("python:users_models:no_such", "users_models has no no_such"),
        ("python:users_models:number", "number is no function"),
        ("python:users_models:too_many_outputs", r"gives outputs of shape \(4,\); the data has 3 classes"),
        ("python:users_models:other_inputs", r"takes inputs of shape \(7,\); the examples have \(4,\)"),
        ("python:users_models:two_inputs", "has 2 inputs and 1 outputs"),
        ("python:users_models:tied", "reads the weight 'tied/kernel:0': a Keras file would hold its numbers there"),
        ("python:users_models:no_model", "expected a path or a Keras model"),
        ("python:users_models:failing", r"failing\(\(4,\), 3\) failed \(KeyError: 'missing', users_models.py line"),
        ("python:users_models:no_arguments", r"no_arguments\(\(4,\), 3\) failed \(TypeError"),
    ],
)
def test_a_python_function_that_gives_no_fitting_model_is_named_with_the_reason(name: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        building.build(ModelConfig(model=name), PROBLEM)


def test_a_model_that_takes_strings_is_refused_with_and_without_data(tmp_path: Path) -> None:
    inputs = keras3.Input((1,), dtype="string")
    words = keras3.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(inputs)
    keras3.Model(inputs, words).save(tmp_path / "m.keras")
    problem = Problem("classification", "tabular", (1,), 3, ("a", "b", "c"))
    with pytest.raises(UserError, match=r"m\.keras takes strings") as caught:
        building.build(ModelConfig(model=str(tmp_path / "m.keras")), problem)
    assert "StringLookup" in caught.value.hint
    with pytest.raises(UserError, match=r"m\.keras takes strings"):
        stage_export.loaded(Source(ModelExportConfig(model=str(tmp_path / "m.keras")), None, None), print)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_recurrent_layer_that_keeps_its_state_between_batches_is_refused(wrapped: bool, tmp_path: Path) -> None:
    inputs, lstm = keras3.Input(batch_shape=(1, 5, 6)), keras3.layers.LSTM(3, stateful=True, name="kept")
    layer = keras3.layers.Bidirectional(lstm, merge_mode="sum") if wrapped else lstm
    keras3.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    problem = Problem("classification", "sequence", (5, 6), 3, ("a", "b", "c"))
    with pytest.raises(UserError, match=r"kept' \(LSTM\) keeps state between batches") as caught:
        building.build(ModelConfig(model=str(tmp_path / "m.keras")), problem)
    assert "stateful=False" in caught.value.hint
    without_data = Source(ModelExportConfig(model=str(tmp_path / "m.keras")), None, None)
    with pytest.raises(UserError, match="keeps state between batches"):
        stage_export.loaded(without_data, print)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_the_users_ends_in_float32_under_mixed_precision(precision: str) -> None:
    model = building.build(ModelConfig(model="python:users_models:good"), PROBLEM, precision)
    assert model.outputs[0].dtype == "float32"
    assert model.trainable_variables[0].dtype == "float32"


@pytest.mark.parametrize("name", ["python:", "python:a", "python:a:", "python::f", "python:a:b:c"])
def test_half_a_python_name_is_refused_without_tensorflow(name: str) -> None:
    with pytest.raises(UserError, match="expected python:MODULE:FUNCTION"):
        building.check_name(ModelConfig(model=name))


@pytest.mark.parametrize("name", ["models/nothing.keras", "gone.h5", "./folder", "x" * 300 + ".keras"])
def test_a_missing_file_is_named_with_the_architectures(name: str) -> None:
    with pytest.raises(UserError, match="no such file") as caught:
        building.check_name(ModelConfig(model=name))
    assert "cnn, ds_cnn, gru, linear, lstm, mlp, mobilenet_v2, resnet8, transformer" in caught.value.hint


@pytest.mark.parametrize("name", ["cmm", "", "resnet", "x" * 300])
def test_an_unknown_name_lists_the_known_ones_and_the_other_forms(name: str) -> None:
    with pytest.raises(UserError, match="unknown model") as caught:
        building.check_name(ModelConfig(model=name))
    assert "cnn, ds_cnn, gru, linear, lstm, mlp, mobilenet_v2, resnet8, transformer" in caught.value.hint
    assert "python:MODULE:FUNCTION" in caught.value.hint


@pytest.mark.parametrize("flags", [{"width": 8}, {"depth": 2}, {"dropout": 0.5}, {"l2": 0.1}])
def test_scaling_a_model_that_brings_its_own_layers_contradicts(flags: dict[str, float], tmp_path: Path) -> None:
    (tmp_path / "own.keras").write_text("x")
    for model in ("python:users_models:good", str(tmp_path / "own.keras")):
        with pytest.raises(UserError, match=f"--{next(iter(flags))}=.* contradicts --model={model}"):
            building.check_name(ModelConfig(model=model, **flags))


def test_a_folder_called_like_an_architecture_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlp").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not building.is_file("mlp")
    assert building.build(ModelConfig(model="mlp", width=2, depth=1), PROBLEM).count_params() == 4 * 2 + 2 + 2 * 3 + 3


def test_a_saved_model_comes_back_with_its_weights(tmp_path: Path) -> None:
    model = building.build(ModelConfig(model="mlp", width=2), PROBLEM, seed=3)
    model.save(tmp_path / "own.keras")
    loaded = building.build(ModelConfig(model=str(tmp_path / "own.keras")), PROBLEM, seed=4)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(model(x), loaded(x))


def test_the_seed_decides_the_initial_weights() -> None:
    def first(seed: int) -> np.ndarray:
        return building.build(ModelConfig(model="mlp", width=4), PROBLEM, seed=seed).get_weights()[0]

    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_a_model_of_any_size_takes_images_of_this_size() -> None:
    image = Problem("classification", "image", (8, 8, 1), 3, ("a", "b", "c"))
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inputs)))
    building.check_fits(model, image, "any")
    with pytest.raises(UserError, match="takes inputs of shape"):
        building.check_fits(model, PROBLEM, "any")
