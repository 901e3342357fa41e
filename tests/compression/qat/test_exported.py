"""The int8 file computes what the model with fake quantization computes, layer kind by layer kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compression.qat.compared import images, operators, steps_between, with_statistics

from tfday7 import models
from tfday7.compression import qat
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset

LAYERS = keras.layers
Body = Callable[[Any], Any]


def built(body: Body, dataset: Dataset) -> Any:
    """Returns a classifier of images with these layers in the middle."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(dataset.problem.input_shape)
    x = LAYERS.Flatten()(body(inputs))
    return with_statistics(keras.Model(inputs, LAYERS.Dense(2, name="logits")(x)))


def normalized(x: Any) -> Any:
    return LAYERS.ReLU()(LAYERS.BatchNormalization()(x))


def squeeze_excite(x: Any) -> Any:
    x = LAYERS.Conv2D(8, 3, padding="same", activation="relu")(x)
    gate = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
    gate = LAYERS.Conv2D(8, 1, activation="sigmoid")(LAYERS.Conv2D(4, 1, activation="relu")(gate))
    return LAYERS.Multiply()([x, gate])


def hard_swish(x: Any) -> Any:
    x = LAYERS.BatchNormalization()(LAYERS.Conv2D(8, 3, use_bias=False)(x))
    return LAYERS.Multiply()([x, LAYERS.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)])


def joined(x: Any) -> Any:
    branches = [LAYERS.Conv2D(4, size, padding="same", activation="relu")(x) for size in (1, 3)]
    return LAYERS.Concatenate()([*branches, LAYERS.MaxPooling2D(3, 1, "same")(x)])


def attention(x: Any) -> Any:
    x = LAYERS.LayerNormalization()(LAYERS.Dense(8)(LAYERS.Reshape((16, 12))(x)))
    query, key, value = (LAYERS.Dense(8)(x) for _ in range(3))
    return x + tf.matmul(LAYERS.Softmax()(tf.matmul(query, key, transpose_b=True)), value)


BODIES: dict[str, Body] = {
    "convolution": lambda x: normalized(LAYERS.Conv2D(8, 3, use_bias=False)(x)),
    "depthwise": lambda x: normalized(LAYERS.DepthwiseConv2D(3, depth_multiplier=2)(x)),
    "separable": lambda x: normalized(LAYERS.SeparableConv2D(8, 3)(x)),
    "transposed": lambda x: LAYERS.Conv2DTranspose(8, 3, strides=2)(x),
    "transposed_normalized": lambda x: normalized(LAYERS.Conv2DTranspose(8, 3, strides=2, padding="same")(x)),
    "convolution_1d": lambda x: normalized(LAYERS.Conv1D(8, 3)(LAYERS.Reshape((8, 24))(x))),
    "dense_normalized": lambda x: normalized(LAYERS.Dense(8)(LAYERS.Flatten()(x))),
    "normalization_alone": lambda x: LAYERS.BatchNormalization()(LAYERS.MaxPooling2D()(x)),
    "squeeze_excite": squeeze_excite,
    "hard_swish": hard_swish,
    "joined": joined,
    "attention": attention,
    "rescaling": lambda x: LAYERS.Conv2D(8, 3)(LAYERS.Rescaling(2.0, -1.0)(x)),
}


@pytest.mark.slow
def test_functions_that_came_back_from_a_file_as_operations_of_keras_3_are_described(tmp_path: Path) -> None:
    dataset = images()
    models.save(built(BODIES["attention"], dataset), tmp_path / "saved.keras")
    opened = models.load(tmp_path / "saved.keras")
    assert {"Matmul", "Swapaxes"} <= {getattr(layer, "operation", "") for layer in opened.layers}
    model, left = qat.prepare(opened, dataset)
    assert left == []
    steps, _ = steps_between(model, dataset, tmp_path)
    assert steps <= 2.01


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_the_file_is_the_model_to_two_steps_of_the_output(name: str, tmp_path: Path) -> None:
    dataset = images()
    model, left = qat.prepare(built(BODIES[name], dataset), dataset)
    assert left == []
    steps, _ = steps_between(model, dataset, tmp_path)
    assert steps <= 2.01


def scaled_alone(x: Any) -> Any:
    x = LAYERS.BatchNormalization()(LAYERS.Conv2D(8, 3, padding="same", activation="relu")(x))
    return LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(8, 3)(x))


def normalized_steps(x: Any) -> Any:
    return LAYERS.GlobalAveragePooling1D()(LAYERS.Dense(8)(LAYERS.LayerNormalization()(LAYERS.Dense(8)(x))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "fixed", "sizes"),
    [(scaled_alone, (8, 8, 3), (None, None, 3)), (normalized_steps, (6, 5), (None, 5))],
    ids=["image", "series"],
)
def test_open_sizes_give_the_file_that_fixed_sizes_give(
    body: Body, fixed: tuple[int, ...], sizes: tuple[Any, ...], tmp_path: Path
) -> None:
    dataset, found = images(fixed), []
    for shape in (fixed, sizes):
        keras.utils.set_random_seed(0)
        inputs = keras.Input(shape)
        given = with_statistics(keras.Model(inputs, LAYERS.Dense(2)(body(inputs))))
        model, left = qat.prepare(given, dataset)
        assert left == []
        steps, summary = steps_between(model, dataset, tmp_path)
        assert steps <= 2.01
        found.append(operators(summary))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize(("strides", "padding"), [(1, "same"), (2, "same"), (2, "valid")])
def test_771_a_transposed_convolution_whose_channels_differ_gives_in_the_file_what_it_gives_in_training(
    strides: int, padding: str, tmp_path: Path
) -> None:
    """TFMOT has one range for the kernel and looks for it along the wrong axis; channels 100 times smaller are lost."""
    dataset = images((5, 5, 3))
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 5, 3))
    x = LAYERS.Conv2DTranspose(4, 3, strides=strides, padding=padding, name="up")(inputs)
    given = keras.Model(inputs, LAYERS.Flatten()(x))
    kernel, bias = given.get_layer("up").get_weights()
    given.get_layer("up").set_weights([kernel * np.array([1, 0.1, 0.01, 1]).reshape(1, 1, 4, 1), bias])
    model, _ = qat.prepare(given, dataset)
    steps, summary = steps_between(model, dataset, tmp_path)
    assert steps <= 1.01
    assert operators(summary)["TRANSPOSE_CONV"] == 1
    (weights,) = (each for each in summary.tensors if each.dtype == "int8" and each.is_constant)
    assert weights.scales == 4  # One for each output channel.
    # On training examples, which gave the ranges: others may lie beyond them.
    expected, outputs = (each(dataset.train.x, training=False).numpy() for each in (given, model))
    assert np.abs(outputs - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.slow
def test_the_mean_of_a_window_is_rounded_once_and_by_one_step_at_most(tmp_path: Path) -> None:
    """A quarter of the means of four steps lie halfway between two; runtimes round these either way."""
    dataset = images()
    inputs = keras.Input(dataset.problem.input_shape)
    x = LAYERS.AveragePooling2D(name="mean")(LAYERS.Conv2D(8, 3, activation="relu")(inputs))
    model, left = qat.prepare(keras.Model(inputs, LAYERS.Flatten()(x)), dataset)
    assert left == []
    steps, summary = steps_between(model, dataset, tmp_path)
    assert operators(summary)["AVERAGE_POOL_2D"] == 1
    assert steps <= 1.01


@pytest.mark.slow
def test_a_chain_of_convolution_normalization_and_rectifier_is_one_operator(tmp_path: Path) -> None:
    dataset = images()
    model, _ = qat.prepare(built(BODIES["convolution"], dataset), dataset)
    _, summary = steps_between(model, dataset, tmp_path)
    assert operators(summary) == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_recurrent_layer_is_left_to_the_calibration_of_the_export_and_the_file_is_int8(
    kind: str, tmp_path: Path
) -> None:
    dataset = images((6, 4))
    settings = {"unroll": True} if kind == "GRU" else {}
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4))
    x = getattr(LAYERS, kind)(5, name="recurrent", **settings)(inputs)
    model, left = qat.prepare(keras.Model(inputs, LAYERS.Dense(2)(x)), dataset)
    assert [each.layer for each in left] == ["recurrent"]
    assert "recurrent: its weights are rounded in training" in left[0].reason
    steps, _ = steps_between(model, dataset, tmp_path)
    assert steps <= 6


@pytest.mark.slow
def test_standardization_and_denormalization_stay_outside_of_the_file(line: Dataset, tmp_path: Path) -> None:
    from tfday7.models import ModelConfig, building

    model, _ = qat.prepare(building.build(ModelConfig(model="mlp", width=8), line.problem), line)
    _, summary = steps_between(model, line, tmp_path)
    assert operators(summary) == {"FULLY_CONNECTED": 3}
