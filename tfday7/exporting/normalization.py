"""Layer normalization (Ba et al., 2016, arXiv:1607.06450) in the operations that a `.tflite` file computes fast.

TFLite has no operator for it. As Keras writes it, a file holds SQUARED_DIFFERENCE, which XNNPACK does not take in int8:
those of a small transformer were its slowest operators beside BATCH_MATMUL. Here the mean goes first, and what is
squared and scaled is the centered tensor, by SUB and MUL: fewer operators, and none of them falls back. What that
gains is measured by `benchmarks/layer_normalization.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.frameworks import keras, tf


def normalizations(model: Any) -> list[Any]:
    """Returns the layer normalizations of a model, and of models in it."""
    return [layer for layer in model._flatten_layers() if type(layer) is keras.layers.LayerNormalization]


@contextlib.contextmanager
def centered(model: Any) -> Iterator[None]:
    """Has layer normalizations compute by the centered tensor while a model is traced; the answers stay the same."""
    layers = normalizations(model)
    for layer in layers:
        layer.call = _centered(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _centered(layer: Any) -> Callable[[Any], Any]:
    plain = layer.call

    def call(inputs: Any) -> Any:
        axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
        if axes not in ([-1], [inputs.shape.rank - 1]):
            return plain(inputs)
        outputs = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(outputs * outputs, axis=-1, keepdims=True)
        outputs = outputs * tf.math.rsqrt(variance + layer.epsilon)
        if layer.scale:
            outputs = outputs * layer.gamma
        return outputs + layer.beta if layer.center else outputs

    return call
