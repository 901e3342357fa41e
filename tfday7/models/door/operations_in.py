"""`keras.ops` calls, coming in: as the tf_keras layer that does just that where there is one, else kept as they are.

A layer is preferred because pruning, quantization and shrinking know layers. It must return the same bits, and masks
must not start to flow: in Keras 3 the result of an operation carries none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.models.door import keras3_classes
from tfday7.models.door.activations import given
from tfday7.models.door.graph import KERAS3, Call
from tfday7.models.door.template import taken_apart

_MERGES = {name: name for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")}
_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "swish", "Selu": "selu"} | {
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exponential",
}
_GIVEN = {"HardSilu": "hard_silu", "HardSigmoid": "hard_sigmoid", "LogSigmoid": "log_sigmoid"}
Native = Callable[[Call, Any], Any]


def repeat(call: Call, tensors: dict[int, Any], name: str) -> Any:
    """Repeats the call of a Keras 3 operation on tf_keras tensors.

    Args:
        call: the call.
        tensors: the new tensors by the identity of the old ones.
        name: what to call the layer that does it.

    Raises:
        UserError: the operation takes functions, or arguments that cannot be written down.
    """
    native = _native(call, tensors, name)
    return native if native is not None else _kept(call, tensors, name)


def _kept(call: Call, tensors: dict[int, Any], name: str) -> Any:
    from tfday7.models.door.kept import KerasOperation

    operation = call.layer
    kind = keras3_classes.operation_name(type(operation))
    if kind is None:
        raise UserError(
            f"operation {operation.name!r} ({type(operation).__name__}) takes functions, or is none of Keras's own",
            "put it into a layer of your own and register a builder for that (docs/keras3_door.md)",
        )
    template, inputs = taken_apart([list(call.args), {**call.kwargs}], KERAS3.is_symbolic)
    try:
        settings = dict(operation.get_config())
    except NotImplementedError as error:
        raise UserError(
            f"operation {operation.name!r} ({kind}) was made with what Keras cannot write down, such as an array",
            "use numbers, or put it into a layer of your own with a builder (docs/keras3_door.md)",
        ) from error
    settings.pop("name", None)
    layer = KerasOperation(kind, json.dumps(settings), json.dumps(template), name=name)
    new = [tensors[id(tensor)] for tensor in inputs]
    return layer(new[0] if len(new) == 1 else new)


def _native(call: Call, tensors: dict[int, Any], name: str) -> Any:
    """Returns the outputs of the equal tf_keras layer, or None where there is none."""
    operation, kind = call.layer, type(call.layer).__name__
    flat = KERAS3.flatten([list(call.args), list(call.kwargs.values())])
    inputs = [tensors[id(item)] for item in flat if KERAS3.is_symbolic(item)]
    if any(getattr(tensor, "_keras_mask", None) is not None for tensor in inputs):
        return None
    if len(inputs) != len(flat) or len({tensor.dtype for tensor in inputs}) > 1:
        return None
    dtype = inputs[0].dtype.name
    if not dtype.startswith(("float", "bfloat")):
        return None
    if kind in _MERGES and len(inputs) == 2 and _same_rank(inputs):
        return getattr(keras.layers, kind)(name=name, dtype=dtype)(inputs)
    if kind == "Concatenate" and operation.axis != 0 and len(inputs) > 1:
        return keras.layers.Concatenate(axis=operation.axis, name=name, dtype=dtype)(inputs)
    if len(inputs) == 1:
        layer = _unary(operation, kind, inputs[0], {"name": name, "dtype": dtype})
        return None if layer is None else layer(inputs[0])
    return None


def _unary(operation: Any, kind: str, tensor: Any, common: dict[str, Any]) -> Any:
    rank = len(tensor.shape)
    if kind in _ACTIVATIONS:
        return keras.layers.Activation(_ACTIVATIONS[kind], **common)
    if kind in _GIVEN:
        return keras.layers.Activation(given(_GIVEN[kind]), **common)
    if kind == "ReLU":
        limits = {key: getattr(operation, key) for key in ("max_value", "negative_slope", "threshold")}
        return keras.layers.ReLU(**limits, **common)
    if kind == "Relu6":
        return keras.layers.ReLU(6.0, **common)
    if kind == "Softmax" and isinstance(operation.axis, int) and rank > 1:
        return keras.layers.Softmax(axis=operation.axis, **common)
    if kind == "Gelu" and not operation.approximate:
        return keras.layers.Activation("gelu", **common)
    if kind == "Mean" and rank == 4 and common["dtype"] == "float32" and _axes(operation.axis, rank) == (1, 2):
        return keras.layers.GlobalAveragePooling2D(keepdims=operation.keepdims, data_format="channels_last", **common)
    if kind == "Reshape" and _keeps_batch(operation.newshape, tensor.shape):
        return keras.layers.Reshape(tuple(operation.newshape)[1:], **common)
    return None


def _same_rank(inputs: list[Any]) -> bool:
    return len(inputs[0].shape) == len(inputs[1].shape) > 1


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    axes = axis if isinstance(axis, (list, tuple)) else [] if axis is None else [axis]
    return tuple(sorted(one % rank for one in axes))


def _keeps_batch(new_shape: Any, shape: Any) -> bool:
    """Returns whether a reshape surely leaves the batch dimension alone."""
    sizes, new = list(shape)[1:], list(new_shape)
    if None in sizes or new[0] not in (-1, shape[0]) or any(not isinstance(size, int) or size < 1 for size in new[1:]):
        return False
    return _product(sizes) == _product(new[1:])


def _product(sizes: list[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
