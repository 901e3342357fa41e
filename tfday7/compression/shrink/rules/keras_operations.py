"""`keras.ops` functions that came from Keras 3 and have no layer in tf_keras: the door keeps them as `KerasOperation`.

Their arguments are JSON in the layer's settings. Those that need no change when channels go are followed; all others
leave their inputs whole.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.merging import broadcast
from tfday7.compression.shrink.rules.operations import after_reduction
from tfday7.compression.shrink.rules.operations_arranging import sliced
from tfday7.compression.shrink.rules.operations_products import einsum
from tfday7.compression.shrink.visit import Visit, rule
from tfday7.models.door.template import filled

_UNARY = frozenset((
    *("Absolute", "Ceil", "Copy", "Cos", "Elu", "Erf", "Exp", "Floor", "Log", "Log1p", "Negative", "Reciprocal"),
    *("Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Softplus", "Softsign", "Sqrt"),
    *("Square", "Tanh", "Cast", "LeakyRelu", "Gelu", "HardSilu", "HardSigmoid", "LogSigmoid", "StopGradient", "Mish"),
))  # fmt: skip
_BINARY = frozenset((
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Power", "Greater", "Less", "Equal"),
))  # fmt: skip


@rule("KerasOperation")
def _operation(visit: Visit) -> list[Labels]:
    layer = visit.layer
    args, kwargs = filled(json.loads(layer.arguments), visit.graph.symbolic(visit.call))
    settings = json.loads(layer.settings)
    name = layer.operation
    if visit.path or kwargs or not visit.inputs:
        return unknown(visit)
    if name in _UNARY:
        return [list(visit.inputs[0])]
    if name in _BINARY:
        return _binary(visit, args)
    if name in _MORE:
        return _MORE[name](visit, {**settings, "args": args})
    return unknown(visit)


def _binary(visit: Visit, args: list[Any]) -> list[Labels]:
    labels = broadcast(visit, visit.inputs, visit.shapes)
    for value in args[:2]:
        if not hasattr(value, "_keras_history") and np.ndim(value):
            behind = labels[-np.ndim(value) :]
            for label, size in zip(behind, np.shape(value)[-len(behind) :], strict=True):
                if size != 1:
                    visit.fix(label, "joined to a constant in")
    return [labels]


def _mean(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    labels = list(visit.inputs[0])
    axis = given.get("axis")
    axes = range(len(labels)) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    taken = [one % len(labels) for one in axes]
    visit.fix_all([labels[one] for one in taken], "reduced to one number by")
    return [after_reduction(labels, taken, bool(given.get("keepdims")))]


def _getitem(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    key = given["args"][1]
    parts = list(key) if isinstance(key, (list, tuple)) else [key]
    found = sliced(visit, visit.inputs[0], parts, visit.shapes[0])
    if found is None or found[1] is not None:
        return unknown(visit, "cut by")
    return [found[0]]


def _transpose(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    labels, axes = visit.inputs[0], given.get("axes")
    return [[labels[axis] for axis in (axes or range(len(labels))[::-1])]]


def _einsum(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    operands = list(given["args"])
    return einsum(visit, given["subscripts"], operands) if len(visit.inputs) == len(operands) == 2 else unknown(visit)


_MORE = {"Mean": _mean, "Max": _mean, "Min": _mean, "GetItem": _getitem, "Transpose": _transpose, "Einsum": _einsum}
