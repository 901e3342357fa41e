"""Layer normalization written anew for `.tflite` files: the same answers, and nothing of it left in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.config import wanted
from tfday7.exporting.normalization import centered, normalizations
from tfday7.exporting.records import Artefact, Origin

X = np.random.default_rng(3).normal(2.0, 3.0, (5, 6, 4)).astype(np.float32)


def model_of(layer: Any) -> Any:
    tensor = keras.Input((6, 4))
    model = keras.Model(tensor, layer(tensor))
    generator = np.random.default_rng(4)
    layer.set_weights([generator.normal(size=weight.shape) for weight in layer.get_weights()])
    return model


def normalized(x: np.ndarray, layer: Any) -> np.ndarray:
    """Returns (x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis, in float64."""
    x = x.astype(np.float64)
    found = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon)
    gamma = np.asarray(layer.gamma) if layer.scale else 1.0
    return found * gamma + (np.asarray(layer.beta) if layer.center else 0.0)


@pytest.mark.parametrize("settings", [{}, {"center": False}, {"scale": False}, {"axis": 2}, {"epsilon": 0.5}])
def test_it_is_the_formula_and_has_no_squared_difference(settings: dict[str, Any]) -> None:
    layer = keras.layers.LayerNormalization(**settings)
    model = model_of(layer)
    with centered(model):
        function = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec(X.shape))
    np.testing.assert_allclose(function(X), normalized(X, layer), rtol=1e-5, atol=1e-5)
    assert "SquaredDifference" not in {operation.type for operation in function.graph.get_operations()}


@pytest.mark.parametrize("axis", [1, (1, 2)])
def test_over_other_axes_it_is_left_as_it_is(axis: Any) -> None:
    model = model_of(keras.layers.LayerNormalization(axis=axis))
    expected = model(X)
    with centered(model):
        np.testing.assert_array_equal(model(X), expected)


def test_layers_of_models_inside_are_found_and_layers_made_of_it_are_not() -> None:
    class Own(keras.layers.LayerNormalization):
        pass

    inner = keras.Sequential([keras.Input((6, 4)), keras.layers.LayerNormalization(name="inside"), Own()])
    model = keras.Sequential([keras.Input((6, 4)), inner, keras.layers.LayerNormalization(name="outside")])
    assert {layer.name for layer in normalizations(model)} == {"inside", "outside"}


def test_the_model_is_as_before_even_where_tracing_failed() -> None:
    model = model_of(keras.layers.LayerNormalization())
    layer = model.layers[-1]

    def fails() -> None:
        with centered(model):
            assert "call" in vars(layer)
            raise RuntimeError("tracing")

    with pytest.raises(RuntimeError, match="tracing"):
        fails()
    assert "call" not in vars(layer)
    function = tf.function(lambda x: layer.call(x)).get_concrete_function(tf.TensorSpec(X.shape))
    np.testing.assert_allclose(function(X), normalized(X, layer), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_files_have_it_and_answer_as_the_model_does(pictures: Any, tmp_path: Path) -> None:
    tensor = keras.Input((4, 4, 1))
    x = keras.layers.LayerNormalization()(keras.layers.Conv2D(8, 3, activation="relu")(tensor))
    model = keras.Model(tensor, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    origin = Origin("small", "/runs/small", "logits", data={})
    files: dict[str, Artefact] = {
        artefact.name: artefact
        for artefact in exporting.export(model, pictures, wanted(("tflite", "onnx"), "float32,int8"), tmp_path, origin)
    }
    assert [artefact.failure for artefact in files.values()] == [""] * 4
    for kind in ("float32", "int8"):
        artefact = files[f"small_{kind}"]
        assert artefact.holds
        operators = {node.op for node in tflite_file.read(Path(str(artefact.path))).nodes}
        assert "RSQRT" in operators
        assert "SQUARED_DIFFERENCE" not in operators
