"""A flat model computes what the given one does, and has no model and no compound layer inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compression.qat.compared import with_statistics

from tfday7.compression.qat.flattening import flattened
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf

LAYERS = keras.layers


def same(model: Any, **settings: Any) -> tuple[Any, dict[str, str]]:
    """Returns the flat model, checked against the given one on random inputs, and the paths that changed."""
    flat, paths = flattened(with_statistics(model), **settings)
    x = np.random.default_rng(1).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(flat(x, training=False), model(x, training=False), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    return flat, paths


def test_models_inside_models_are_opened_and_shared_ones_stay_shared() -> None:
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, LAYERS.Dense(4, activation="relu", name="dense")(inner_input), name="inner")
    outer = keras.Sequential([LAYERS.Input((4,)), LAYERS.Dense(4, name="dense")], name="outer")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, LAYERS.Add()([inner(inner(inputs)), outer(inputs)]))
    flat, paths = same(model)
    kernels = [layer for layer in flat.layers if isinstance(layer, LAYERS.Dense)]
    assert len(kernels) == 2
    assert sum(len(layer.inbound_nodes) for layer in kernels) == 3
    names = {paths["inner/dense/kernel"], paths["outer/dense/kernel"]}
    assert names == {f"{layer.name}/kernel" for layer in kernels}


@pytest.mark.parametrize("activation", ["tanh", "swish", "softmax", "relu"])
def test_an_activation_that_tflite_does_not_fuse_is_a_layer_of_its_own(activation: str) -> None:
    inputs = keras.Input((4,))
    flat, _ = same(keras.Model(inputs, LAYERS.Dense(3, activation=activation, name="dense")(inputs)))
    inside = keras.activations.serialize(flat.get_layer("dense").activation)
    assert inside == ("relu" if activation == "relu" else "linear")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: LAYERS.SeparableConv2D(3, 3, strides=2, depth_multiplier=2, name="apart"), (6, 6, 2)),
        (lambda: LAYERS.SeparableConv1D(3, 3, padding="same", activation="tanh", name="apart"), (6, 2)),
    ],
)
def test_a_separable_convolution_is_two(layer: Any, shape: tuple[int, ...]) -> None:
    inputs = keras.Input(shape)
    flat, paths = same(keras.Model(inputs, layer()(inputs)))
    assert paths["apart/depthwise_kernel"] == "apart_depthwise/depthwise_kernel"
    assert paths["apart/pointwise_kernel"] == "apart/kernel"
    assert not any("Separable" in type(each).__name__ for each in flat.layers)


def test_a_dense_layer_takes_its_normalization_in_unless_it_must_stay_as_it_is() -> None:
    def model() -> Any:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        x = LAYERS.BatchNormalization(name="norm")(LAYERS.Dense(3, use_bias=False, name="dense")(inputs))
        return keras.Model(inputs, LAYERS.ReLU()(x))

    flat, _ = same(model())
    assert [layer.name for layer in flat.layers if layer.weights] == ["dense"]
    kept, _ = same(model(), unfolded=("dense",))
    assert [layer.name for layer in kept.layers if layer.weights] == ["dense", "norm"]


@pytest.mark.parametrize("units", [3, 5])
def test_a_normalization_along_another_axis_is_not_taken_in(units: int) -> None:
    inputs = keras.Input((5, 4))
    x = LAYERS.BatchNormalization(axis=1, name="norm")(LAYERS.Dense(units, name="dense")(inputs))
    flat, _ = same(keras.Model(inputs, LAYERS.ReLU()(x)))
    assert [layer.name for layer in flat.layers if layer.weights] == ["dense", "norm"]


def test_a_rescaling_with_an_offset_is_two_layers_but_not_at_the_end() -> None:
    inputs = keras.Input((4,))
    x = LAYERS.Dense(2)(LAYERS.Rescaling(0.5, -1.0, name="first")(inputs))
    flat, _ = same(keras.Model(inputs, LAYERS.Rescaling(3.0, 7.0, name="last")(x)))
    names = [layer.name for layer in flat.layers if isinstance(layer, LAYERS.Rescaling)]
    assert names == ["first_scale", "first", "last"]


def test_a_time_distributed_dense_layer_is_a_dense_layer() -> None:
    inputs = keras.Input((5, 4))
    inner = keras.Input((5, 4))
    dense = LAYERS.Dense(4, activation="tanh", name="own")
    nested = keras.Model(inner, LAYERS.TimeDistributed(dense, name="each")(inner), name="nested")
    outer = LAYERS.TimeDistributed(LAYERS.Dense(3, activation="relu"), name="steps")
    flat, paths = same(keras.Model(inputs, outer(nested(inputs))))
    assert not any(isinstance(layer, LAYERS.TimeDistributed) for layer in flat.layers)
    assert [layer.name for layer in flat.layers if layer.weights] == ["each", "steps"]
    assert paths == {"nested/each/kernel": "each/kernel", "nested/each/bias": "each/bias"}


def test_a_weight_that_an_operation_reads_too_is_refused_by_name() -> None:
    inputs, layer = keras.Input((4,)), LAYERS.Dense(3, name="code")
    model = keras.Model(inputs, tf.matmul(layer(inputs), layer.kernel, transpose_b=True))
    with pytest.raises(UserError, match="reads the weight 'code/kernel:0': quantization-aware training cannot keep"):
        flattened(model)
