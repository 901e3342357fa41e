"""What would train differently on a mesh is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh import Axes, check, place
from tfday7.distribution.mesh.layouts import plan
from tfday7.distribution.mesh.learning import example_loss
from tfday7.distribution.mesh.operations import refusals
from tfday7.distribution.mesh.stepping import _check_optimizer


def model_with(layer: Any, shape: tuple[int, ...] = (4, 3)) -> Any:
    """Returns a small model with a layer in it."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(layer(inputs))))


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("Dropout", {"rate": 0.1}, "draws other random numbers"),
        ("GaussianNoise", {"stddev": 0.1}, "draws other random numbers"),
        ("SpatialDropout1D", {"rate": 0.1}, "draws other random numbers"),
        ("BatchNormalization", {}, "its statistics are assigned and read"),
        ("GRU", {"units": 2}, "cannot divide its loop over time"),
        ("LSTM", {"units": 2, "unroll": True, "recurrent_dropout": 0.1}, "draws other random numbers"),
        ("Masking", {}, "masks are not kept"),
        ("Dense", {"units": 2, "activity_regularizer": "l2"}, "would count padded examples"),
        ("Dense", {"units": 2, "kernel_constraint": "non_neg"}, "a constraint reads the weight"),
    ],
)
def test_layers_are_refused_by_name(kind: str, settings: dict[str, Any], reason: str) -> None:
    layer = getattr(keras.layers, kind)(name="culprit", **settings)
    with pytest.raises(UserError) as caught:
        check(model_with(layer))
    assert f"culprit ({kind})" in caught.value.message
    assert reason in caught.value.message
    assert "--strategy=mirrored" in caught.value.hint


def test_random_image_layers_and_nested_ones_are_refused() -> None:
    inner = keras.Sequential([keras.layers.RandomFlip(name="culprit")])
    with pytest.raises(UserError, match="culprit"):
        check(model_with(inner, (4, 4, 1)))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Dropout(0.0),
        lambda: keras.layers.LSTM(2, unroll=True),
        lambda: keras.layers.LayerNormalization(),
        lambda: keras.layers.MultiHeadAttention(1, 2),
        lambda: keras.layers.Normalization(mean=0.0, variance=1.0),
    ],
)
def test_what_can_be_trained_passes(layer: Any) -> None:
    made = layer()
    inputs = keras.Input((4, 3))
    x = made(inputs, inputs) if isinstance(made, keras.layers.MultiHeadAttention) else made(inputs)
    check(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))))


def test_state_of_an_unknown_layer_is_refused() -> None:
    class Counter(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.count = self.add_weight(name="count", trainable=False)

        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(UserError, match="it changes weights of its own"):
        check(model_with(Counter()))


def test_several_outputs_and_another_model_are_refused() -> None:
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(2)(inputs) for _ in range(2)]
    with pytest.raises(UserError, match="has 2 outputs"):
        check(keras.Model(inputs, outputs))
    one, two = (keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)]) for units in (2, 4))
    with pytest.raises(UserError, match="the plan is of another model"):
        place(lambda: one, plan(two, Axes(1, 2)), None)


def test_optimizers_that_were_not_made_for_a_mesh_are_refused() -> None:
    with pytest.raises(UserError, match="was not made for a mesh"):
        _check_optimizer(keras.optimizers.Adam())
    with pytest.raises(UserError, match="--precision=mixed_float16 cannot train on a mesh"):
        _check_optimizer(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD()))


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (lambda: keras.losses.MeanSquaredError(reduction="sum"), {}, "reduced by sum"),
        (lambda: "mse", {"loss_weights": [2.0]}, "without a weight"),
    ],
)
def test_losses_that_are_no_mean_are_refused(loss: Any, settings: dict[str, Any], message: str) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", loss(), **settings)
    with pytest.raises(UserError, match=message):
        example_loss(model, None)


def test_the_loss_of_examples_is_what_keras_means() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    values = example_loss(model, None)(tf.constant([1.0, 2.0]), tf.constant([[1.0], [4.0]]))
    np.testing.assert_array_equal(values, [0.0, 4.0])


def test_an_operation_that_dtensor_lacks_is_named() -> None:
    message = "a.py:1: error: 'tf.FusedBatchNormV3' op does not implement layout propagation.\nDTensor"
    with pytest.raises(UserError, match="the operation FusedBatchNormV3"), refusals("the model"):
        raise tf.errors.UnknownError(None, None, message)
    with pytest.raises(tf.errors.InvalidArgumentError), refusals("the model"):
        raise tf.errors.InvalidArgumentError(None, None, "indices out of range")
