"""The affine ends of a model: standardization at its way in, denormalization at its way out.

One int8 scale serves a whole tensor, and its range must hold 0. Raw columns of different size would lose all but the
largest, and a target of 2000 give or take 9 would keep a few steps of its range. So an int8 file leaves both ends out,
and its record says what to do before and after, as `(x - mean) / std` and `y * std + mean`. So does a float16 file: its
numbers have 11 bits, and end at 65,504.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras


@dataclasses.dataclass(frozen=True)
class Affine:
    """`x -> (x - mean) / std`, or its inverse at the way out; both float64, a number or one a column."""

    mean: np.ndarray
    std: np.ndarray

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """Returns (x - mean) / std as float32."""
        return ((x - self.mean) / self.std).astype(np.float32)

    def restore(self, y: np.ndarray) -> np.ndarray:
        """Returns y * std + mean as float32."""
        return (y * self.std + self.mean).astype(np.float32)

    def to_json(self) -> dict[str, list[float]]:
        """Returns mean and std as lists of the same length."""
        mean, std = np.broadcast_arrays(self.mean, self.std)
        return {"mean": np.ravel(mean).tolist(), "std": np.ravel(std).tolist()}


def core_of(model: Any) -> tuple[Any, Affine | None, Affine | None]:
    """Returns the model without its affine ends, and what was left out at the way in and at the way out.

    Only a chain is cut: a Normalization through which everything goes, after a Rescaling that prepares it or not, and a
    Rescaling that everything ends in. What branches stays whole.
    """
    (start,), (end,) = model.inputs, model.outputs
    tensor, way_in = _follow(model, start)
    way_out = None
    last = _maker(model, end)
    if isinstance(last, keras.layers.Rescaling) and last.input is not start:
        way_out = Affine(np.asarray(last.offset, np.float64), np.asarray(last.scale, np.float64))
        end = last.input
    if way_in is None and way_out is None:
        return model, None, None
    return keras.Model(tensor, end, name=model.name), way_in, way_out


def offset_last(model: Any) -> Any:
    """Returns the model with the offset of its last Rescaling as a subtraction, which stays a step of its own.

    TFLite's converter makes an addition behind a Dense layer that layer's bias, and kernels begin their sums with it:
    all products of a target of 1013 give or take 5 are then rounded at 1013, far more coarsely than they need be.
    """
    (end,) = model.outputs
    last = _maker(model, end)
    if not isinstance(last, keras.layers.Rescaling) or last.input is model.inputs[0] or not np.any(last.offset):
        return model
    scale, offset = (np.asarray(value, np.float32) for value in (last.scale, last.offset))
    return keras.Model(model.inputs, last.input * scale - (-offset), name=model.name)


def equalized(core: Any, way_out: Affine, x: np.ndarray) -> tuple[Any, Affine]:
    """Returns a core whose outputs are at most about 1 in every column, and the way out that undoes it.

    Several targets share a tensor, and so one int8 scale: logits of 15 beside a standardized price of 3 would leave the
    price a few steps. A core that does not end in a Dense layer comes back as it is.

    Args:
        core, way_out: from `core_of`.
        x: inputs of the core that show how large its outputs are.
    """
    node = core.outputs[0].node
    last = node.layer
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.linear or not last.use_bias:
        return core, way_out
    largest = np.abs(np.asarray(core(x, training=False))).max(axis=0)
    largest = np.where(largest > 0, largest, 1.0)
    smaller = keras.layers.Dense(last.units, dtype="float32", name=last.name)
    made = keras.Model(core.inputs, smaller(node.input_tensors), name=core.name)
    smaller.set_weights([weights / largest for weights in last.get_weights()])
    return made, Affine(way_out.mean, way_out.std * largest)


def _follow(model: Any, tensor: Any) -> tuple[Any, Affine | None]:
    """Walks from the input through layers that only scale and shift; stops behind the first Normalization."""
    mean, std = np.zeros(()), np.ones(())
    here = tensor
    while True:
        consumers = [layer for layer in model.layers for node in layer.inbound_nodes if _consumes(node, here)]
        if len(consumers) != 1 or len(consumers[0].inbound_nodes) != 1:
            return tensor, None
        (layer,) = consumers
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
            # (x - mean) / std * scale + offset = (x - (mean - offset * std / scale)) / (std / scale)
            mean, std = mean - offset * std / scale, std / scale
        elif isinstance(layer, keras.layers.Normalization) and not layer.invert and _of_last_axis(layer):
            deviation = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), keras.backend.epsilon())
            inner = np.asarray(layer.mean, np.float64)
            return layer.output, Affine(np.squeeze(mean + inner * std), np.squeeze(std * deviation))
        else:
            return tensor, None
        here = layer.output


def _of_last_axis(layer: Any) -> bool:
    """Returns whether a Normalization has one mean, or one a last-axis column: what a record can say."""
    axes = {axis % len(layer.input.shape) for axis in layer.axis}
    return axes <= {len(layer.input.shape) - 1}


def _consumes(node: Any, tensor: Any) -> bool:
    return any(given is tensor for given in getattr(node, "keras_inputs", []))


def _maker(model: Any, tensor: Any) -> Any:
    makers = [layer for layer in model.layers for node in layer.inbound_nodes if node.outputs is tensor]
    return makers[0] if len(makers) == 1 and len(makers[0].inbound_nodes) == 1 else None
