"""`keras.ops` functions that came from Keras 3 and have no layer in tf_keras: the door keeps them as `KerasOperation`.

Their arguments are JSON in the layer's settings. Those that need no change when channels go are followed; all others
leave their inputs whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.merging import broadcast
from tfday7.compression.shrink.rules.operations import along, beside_constant, is_tensor, reduced
from tfday7.compression.shrink.rules.operations_arranging import expanded, sliced, squeezed, stacked
from tfday7.compression.shrink.rules.operations_products import einsum, matmul
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
    if name in _BINARY or (name == "Where" and len(args) == 3):
        return _joined(visit, args)
    if name in _MORE:
        return _MORE[name](visit, {**settings, "args": args})
    return unknown(visit)


def _joined(visit: Visit, args: list[Any]) -> list[Labels]:
    labels = broadcast(visit, visit.inputs, visit.shapes)
    for value in args:
        if not is_tensor(value) and np.ndim(value):
            beside = beside_constant(visit, labels, np.shape(value))
            if beside is None:
                return unknown(visit, "joined to a constant of more axes in")
            labels = beside
            for label, size in zip(labels[-np.ndim(value) :], np.shape(value), strict=True):
                if size != 1:
                    visit.fix(label, "joined to a constant in")
    return [labels]


def _reduced(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    return reduced(visit, given.get("axis"), bool(given.get("keepdims")), visit.layer.operation == "Sum")


def _getitem(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    key = given["args"][1]
    parts = list(key) if isinstance(key, (list, tuple)) else [key]
    found = sliced(visit, visit.inputs[0], parts, visit.shapes[0])
    if found is None or found[1] is not None:
        return unknown(visit, "cut by")
    return [found[0]]


def _expanded(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    axis = given["axis"]
    return unknown(visit) if not isinstance(axis, int) else expanded(visit, axis)


def _swapped(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    labels = list(visit.inputs[0])
    one, other = given["axis1"], given["axis2"]
    labels[one], labels[other] = labels[other], labels[one]
    return [labels]


def _transposed(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    labels, axes = visit.inputs[0], given.get("axes")
    return [[labels[axis] for axis in (axes or range(len(labels))[::-1])]]


def _einsum(visit: Visit, given: dict[str, Any]) -> list[Labels]:
    operands = list(given["args"])
    return einsum(visit, given["subscripts"], operands) if len(visit.inputs) == len(operands) == 2 else unknown(visit)


_MORE: dict[str, Callable[[Visit, dict[str, Any]], list[Labels]]] = {
    **dict.fromkeys(("Mean", "Max", "Min", "Sum", "Prod"), _reduced),
    **dict.fromkeys(("Softmax", "LogSoftmax"), lambda visit, given: along(visit, given.get("axis", -1))),
    "Clip": lambda visit, _: [list(visit.inputs[0])],  # Its limits are numbers: the door takes no arrays there.
    "GetItem": _getitem,
    "ExpandDims": _expanded,
    "Squeeze": lambda visit, given: squeezed(visit, given.get("axis")),
    "Swapaxes": _swapped,
    "Transpose": _transposed,
    "Stack": lambda visit, given: stacked(visit, given.get("axis", 0)),
    "Matmul": lambda visit, given: matmul(visit, dict(zip("ab", given["args"], strict=True))),
    "Einsum": _einsum,
}
