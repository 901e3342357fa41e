"""Files with many operators, as the converter makes them, and operators that are made up by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from exporting.tflite_samples import converted

from tfday7.benchmarking.acceleration.operators import Operator
from tfday7.core.frameworks import tf
from tfday7.exporting.tflite_contents import Node, Tensor

SHAPE = (1, 8, 8, 4)


def weights(*shape: int) -> Any:
    """Returns a constant."""
    return tf.constant(np.random.default_rng(5).normal(size=shape), tf.float32)


@functools.cache
def many(kind: str) -> bytes:
    """Returns a file with some forty kinds of operators side by side."""
    calibration = np.random.default_rng(1).normal(size=(10, *SHAPE[1:])).astype(np.float32)
    return converted(_many, tf.TensorSpec(SHAPE, tf.float32, name="input"), kind, calibration)


def _many(x: Any) -> dict[str, Any]:
    turned = tf.transpose(x, (0, 2, 1, 3))
    rows = tf.reshape(x, (8, 32))
    outputs = [
        tf.nn.conv2d(x, weights(3, 3, 4, 8), 2, "SAME"),
        tf.nn.depthwise_conv2d(x, weights(3, 3, 4, 1), (1, 1, 1, 1), "SAME"),
        tf.nn.conv2d_transpose(x, weights(3, 3, 8, 4), (1, 16, 16, 8), 2, "SAME"),
        tf.matmul(rows, weights(32, 6)),
        tf.matmul(tf.reshape(x, (2, 8, 16)), tf.reshape(x, (2, 16, 8))),
        x + turned, x - turned, x * turned, x / (tf.abs(turned) + 1.0), tf.maximum(x, turned), tf.minimum(x, 1.5),
        tf.nn.relu(x), tf.nn.elu(x), tf.nn.leaky_relu(x, 0.2), tf.nn.gelu(x, approximate=True), tf.tanh(x),
        tf.sigmoid(x), tf.nn.softmax(rows), tf.nn.log_softmax(rows), tf.exp(x), tf.sqrt(tf.abs(x)),
        tf.nn.max_pool2d(x, 2, 2, "VALID"), tf.nn.avg_pool2d(x, 2, 2, "VALID"),
        tf.reduce_mean(x, (1, 2)), tf.reduce_max(x, -1), tf.reduce_sum(x, 1), tf.reduce_prod(x, 1),
        tf.concat([x, turned], -1), tf.concat([x, turned, x + 1.0, x * 2.0, x - 3.0, turned + 4.0], -1),
        *tf.split(x, 2, -1), *tf.split(x, 8, 1),
        tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "REFLECT"),
        x[:, 1:5], x[:, ::2], x[:, -1], tf.gather(x, (0, 2, 3), axis=1), tf.image.resize(x, (16, 16)),
        tf.image.resize(x, (16, 16), "nearest"), tf.nn.depth_to_space(x, 2), tf.nn.space_to_depth(x, 2),
        tf.argmax(rows, -1), tf.cast(x > 0.5, tf.float32), tf.where(x > 0.0, x, turned), tf.cumsum(x, 1),
    ]  # fmt: skip
    return {f"output_{at}": output for at, output in enumerate(outputs)}


def tensor(index: int, shape: Sequence[int] = (1, 4), dtype: str = "float32", **values: Any) -> Tensor:
    """Returns a tensor that is computed; with constant=True one that the file holds."""
    constant = values.pop("constant", False)
    fields: dict[str, Any] = {
        "name": f"t{index}", "signature": tuple(shape), "scales": 1 if dtype == "int8" else 0, "scale": None,
        "zero_point": None, "is_constant": constant, "is_variable": False, "is_sparse": False,
        "constant_bytes": 4 if constant else 0,
    }  # fmt: skip
    return Tensor(0, index, dtype=dtype, shape=tuple(shape), **{**fields, **values})


def operator(op: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], index: int = 0, **options: Any) -> Operator:
    """Returns an operator on such tensors."""
    places = tuple(entry.index for entry in inputs), tuple(entry.index for entry in outputs)
    return Operator(Node(0, index, op, 1, False, *places, options), tuple(inputs), tuple(outputs))


Maker = Callable[[], Operator]
