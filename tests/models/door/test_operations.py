"""Calls of keras.ops and of TensorFlow functions on symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from models.door.trips import difference, random_input

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door

IMAGE, SEQUENCE = (4, 4, 3), (6, 4)

KERAS_OPS: dict[str, tuple[Any, ...]] = {
    "add": (lambda o, a, b: a + b, IMAGE, IMAGE),
    "arithmetic with numbers": (lambda o, a: (1.0 - a * 2.0) / 3.0 + a**2, IMAGE),
    "concatenate": (lambda o, a, b: o.concatenate([a, b], axis=-1), IMAGE, IMAGE),
    "reshape": (lambda o, a: o.reshape(a, (-1, 16, 3)), IMAGE),
    "mean over pixels": (lambda o, a: o.mean(a, axis=(1, 2)), IMAGE),
    "mean over channels": (lambda o, a: o.mean(a, axis=-1, keepdims=True), IMAGE),
    "matmul and transpose": (lambda o, a, b: o.matmul(a, o.transpose(b, (0, 2, 1))), SEQUENCE, SEQUENCE),
    "einsum": (lambda o, a: o.einsum("bijk,bijl->bkl", a, a), IMAGE),
    "slicing": (lambda o, a: a[:, 1:, ::2, 0], IMAGE),
    "ellipsis and new axis": (lambda o, a: a[..., None, :2], IMAGE),
    "split and stack": (lambda o, a: o.stack(o.split(a, 2, axis=1), axis=1), IMAGE),
    "a constant array": (lambda o, a: a + np.arange(3, dtype="float32"), IMAGE),
    "where": (lambda o, a: o.where(a > 0, a, -a), IMAGE),
    "cast": (lambda o, a: o.cast(a, "float16"), IMAGE),
    "pad and norm": (lambda o, a: o.norm(o.pad(a, [[0, 0], [1, 1], [0, 0], [0, 0]]), axis=-1), IMAGE),
    "top k, which returns two": (lambda o, a: o.top_k(a, 2), IMAGE),
    "resize": (lambda o, a: o.image.resize(a, (8, 8)), IMAGE),
    "attention by hand": (lambda o, a: o.softmax(o.matmul(a, o.swapaxes(a, -1, -2)) / 2.0) @ a, SEQUENCE),
    "activations": (lambda o, a: o.relu(a) + o.silu(a) + o.gelu(a) + o.hard_silu(a) + o.relu6(a) + o.elu(a), IMAGE),
    "keras.activations": (lambda o, a: keras3.activations.relu(a, max_value=1.0), IMAGE),
    "reductions": (lambda o, a: o.max(a, axis=1) * o.sum(a, axis=2) - o.var(a, axis=1), IMAGE),
}

TENSORFLOW: dict[str, tuple[Any, ...]] = {
    "operators": (lambda a, b: -((a + b * 2.0 - 1.0 / 3.0) ** 2), IMAGE, IMAGE),
    "slicing": (lambda a: a[:, 1:, ::2, 0], IMAGE),
    "reduce_mean": (lambda a: tf.reduce_mean(a, [1, 2]), IMAGE),
    "keras.backend": (lambda a: keras.backend.mean(a, axis=1, keepdims=True), IMAGE),
    "concat": (lambda a: tf.concat([a, a], -1), IMAGE),
    "reshape": (lambda a: tf.reshape(a, (-1, 16, 3)), IMAGE),
    "matmul": (lambda a: tf.matmul(a, a, transpose_b=True), SEQUENCE),
    "transpose, squeeze, expand": (lambda a: tf.squeeze(tf.expand_dims(tf.transpose(a, [0, 2, 1]), 1), 1), SEQUENCE),
    "einsum": (lambda a: tf.einsum("bij,bkj->bik", a, a), SEQUENCE),
    "where, clip, cast": (lambda a: tf.cast(tf.where(a > 0.0, tf.clip_by_value(a, 0.1, 0.5), a), "float16"), IMAGE),
    "split and stack": (lambda a: tf.stack(tf.split(a, [1, 3], axis=1)[1:], 1), IMAGE),
    "split with a size left open": (lambda a: tf.split(a, [-1, 2], axis=-1), IMAGE),
    "split by a constant": (lambda a: tf.split(a, tf.constant([3, 1]), 1), IMAGE),
    "split into one part": (lambda a: tf.split(a, [4], 1)[0] * 2.0, IMAGE),
    "swish with a factor": (lambda a: tf.nn.silu(a, beta=1.702), IMAGE),
    "adjoint": (lambda a: tf.matmul(a, tf.matmul(a, a, adjoint_b=True), adjoint_a=True), SEQUENCE),
    "one hot": (lambda a: tf.one_hot(tf.cast(a * 2.0, "int32"), 3, axis=1), SEQUENCE),
    "one hot of two numbers": (
        lambda a: tf.one_hot(tf.cast(a * 2.0, "int32"), 3, on_value=0.9, off_value=0.01),
        SEQUENCE,
    ),
    "ones and zeros of a type": (lambda a: [tf.ones_like(a, "int32"), tf.zeros_like(a, dtype="float64")], SEQUENCE),
    "one hot of a type": (
        lambda a: [tf.one_hot(tf.argmax(a, -1), 4, dtype="int32"), tf.one_hot(tf.argmax(a, -1), 4, 7)],
        SEQUENCE,
    ),
    "pad": (lambda a: tf.pad(a, [[0, 0], [1, 2], [0, 0], [0, 0]]), IMAGE),
    "activations": (
        lambda a: tf.nn.relu(a) + tf.nn.gelu(a) + tf.nn.leaky_relu(a, 0.3) + keras.activations.swish(a),
        IMAGE,
    ),
    "relu with a limit": (lambda a: keras.activations.relu(a, max_value=1.0), IMAGE),
    "softmax": (lambda a: tf.nn.softmax(a, axis=1), SEQUENCE),
    "resize": (lambda a: tf.image.resize(a, (8, 8)), IMAGE),
    "depth to space": (lambda a: tf.nn.space_to_depth(a, 2), IMAGE),
    "a constant array": (lambda a: a + np.arange(3.0, dtype="float32"), IMAGE),
}


@pytest.mark.parametrize("name", KERAS_OPS)
def test_a_keras_operation_goes_in_and_out_with_the_same_bits(
    name: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    call, *shapes = KERAS_OPS[name]
    trip = both_ways(functional(lambda *tensors: call(keras3.ops, *tensors), *shapes))
    assert (trip.gap_in, trip.gap_out) == (0, 0)


@pytest.mark.parametrize("name", TENSORFLOW)
def test_a_tensorflow_function_goes_out_as_keras_operations(name: str) -> None:
    call, *shapes = TENSORFLOW[name]
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, call(*inputs))
    data = random_input(model)
    ours, theirs = door.to_keras3(model)(data), model(data)
    assert difference(ours, theirs) == 0
    assert [one.dtype for one in tf.nest.flatten(ours)] == [one.dtype for one in tf.nest.flatten(theirs)]


def test_the_adjoint_of_complex_numbers_goes_out() -> None:
    inputs = keras.Input(SEQUENCE)
    turned = tf.cast(inputs, "complex64") * np.complex64(1j)  # Not conjugated, the product would have another sign.
    model = keras.Model(inputs, tf.cast(tf.matmul(turned, turned, adjoint_b=True), "float32"))
    data = random_input(model)
    assert difference(door.to_keras3(model)(data), model(data)) < 1e-5


def test_a_tensorflow_function_without_an_equal_is_named() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, tf.math.bessel_i0(inputs))
    with pytest.raises(UserError, match=r"tf\.math\.bessel_i0 has no known equal"):
        door.to_keras3(model)


# Name of the test -> (call, shape, what the error says): none of these may go out without its argument.
REFUSED: dict[str, tuple[Any, tuple[int | None, ...], str]] = {
    "an argument that no rule asks for": (
        lambda a: tf.nn.space_to_depth(a, 2, data_format="NCHW"),
        (4, 4, 4),
        r"data_format='NCHW' of tf\.nn\.space_to_depth has no equal",
    ),
    "a conjugate": (lambda a: tf.transpose(a, conjugate=True), SEQUENCE, r"conjugate=True of tf\..*transpose"),
    "sizes of an unknown axis": (lambda a: tf.split(a, [-1, 2], axis=1), (None, 4), r"tf\.split into the sizes"),
    "the places of what is true": (lambda a: tf.where(a > 0.0), SEQUENCE, r"tf\.where\(condition\) without x and y"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_argument_that_would_be_lost_is_refused_by_name(name: str) -> None:
    call, shape, message = REFUSED[name]
    inputs = keras.Input(shape)
    with pytest.raises(UserError, match=message):
        door.to_keras3(keras.Model(inputs, call(inputs)))


def test_an_argument_that_says_the_default_goes_out() -> None:
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, tf.nn.space_to_depth(tf.transpose(inputs, conjugate=False), 2, data_format="NHWC"))
    assert door.to_keras3(model).output_shape == model.output_shape


def test_operations_that_have_a_layer_become_that_layer() -> None:
    a, b = keras3.Input(IMAGE), keras3.Input(IMAGE)
    ops = keras3.ops
    outputs = ops.mean(ops.relu(ops.concatenate([ops.add(a, b), a], axis=-1)), axis=(1, 2))
    kinds = [type(layer).__name__ for layer in door.load(keras3.Model([a, b], outputs)).layers[2:]]
    assert kinds == ["Add", "Concatenate", "Activation", "GlobalAveragePooling2D"]


def test_an_operation_ends_a_mask_as_in_keras3(both_ways: Callable[[Any], Any], functional: Callable[..., Any]) -> None:
    def call(tokens: Any) -> Any:
        embedded = keras3.layers.Embedding(4, 3, mask_zero=True)(tokens)
        return keras3.layers.LSTM(3)(keras3.ops.relu(embedded))  # Keras 3 forgets the mask here.

    trip = both_ways(functional(call, (6,), dtype="int32"))
    assert (trip.gap_in, trip.gap_out) == (0, 0)


def test_an_operation_with_functions_inside_is_refused_by_name(functional: Callable[..., Any]) -> None:
    model = functional(lambda x: keras3.ops.map(lambda row: row * 2.0, x), SEQUENCE)
    with pytest.raises(UserError, match="takes functions"):
        door.load(model)


def test_an_operation_made_with_an_array_is_refused_by_name(functional: Callable[..., Any]) -> None:
    limits = np.arange(1.0, 1.0 + SEQUENCE[-1], dtype=np.float32)
    with pytest.raises(UserError, match=r"'clip\w*' \(Clip\) was made with what Keras cannot write down"):
        door.load(functional(lambda x: keras3.ops.clip(x, -limits, limits), SEQUENCE))
