"""TensorFlow functions called on symbolic tensors: `x + y`, `tf.matmul`, `tf.reshape`, `x[:, 0]`, ...

A rule gets the visit and the function's arguments by name. Constants among them that count channels, or have one number
a channel, are rewritten (`visit.rewrite`), so that the smaller model is called with what fits it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Chosen, Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.merging import broadcast
from tfday7.compression.shrink.visit import Visit, rule
from tfday7.models.door.graph import TF_KERAS
from tfday7.models.door.tensorflow_calls import plain_symbol

Given = dict[str, Any]
Operation = Callable[[Visit, Given], list[Labels]]
OPERATIONS: dict[str, Operation] = {}
_UNARY = (
    *("math.abs", "abs", "__operators__.abs", "math.ceil", "identity", "math.cos", "nn.elu", "math.erf", "math.exp"),
    *("math.floor", "math.log", "math.log1p", "math.negative", "__operators__.neg", "ones_like", "math.reciprocal"),
    *("nn.relu", "nn.relu6", "math.round", "math.rsqrt", "nn.selu", "math.sigmoid", "nn.sigmoid", "math.sign"),
    *("nn.silu", "nn.swish", "math.sin", "math.softplus", "nn.softplus", "nn.softsign", "math.sqrt", "math.square"),
    *("stop_gradient", "math.tanh", "nn.tanh", "zeros_like", "cast", "nn.leaky_relu", "nn.gelu", "math.logical_not"),
)  # fmt: skip
_BINARY = (
    *("math.add", "__operators__.add", "__operators__.radd", "math.subtract", "__operators__.sub", "math.multiply"),
    *("__operators__.rsub", "__operators__.mul", "__operators__.rmul", "math.divide", "math.truediv", "math.pow"),
    *("__operators__.truediv", "__operators__.rtruediv", "__operators__.div", "__operators__.pow", "math.maximum"),
    *("math.minimum", "math.divide_no_nan", "math.squared_difference", "math.greater", "__operators__.gt"),
    *("math.greater_equal", "__operators__.ge", "math.less", "__operators__.lt", "math.less_equal", "nn.bias_add"),
    *("__operators__.le", "math.equal", "math.not_equal", "math.logical_and", "math.logical_or", "math.floordiv"),
    *("math.floormod", "__operators__.floordiv", "__operators__.mod", "__operators__.eq", "__operators__.ne"),
)  # fmt: skip


def operation(*names: str) -> Callable[[Operation], Operation]:
    """Returns a decorator: the rule says what these TensorFlow functions do."""

    def add(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return add


@rule("TFOpLambda", "SlicingOpLambda")
def _operation(visit: Visit) -> list[Labels]:
    name = plain_symbol(visit.layer.symbol)
    found = OPERATIONS.get(name)
    if any(id(tensor) in visit.graph.shapes for tensor in visit.graph.symbolic(visit.call)):
        found = found if name in ("__operators__.getitem", "reshape") else None
    if found is None or visit.path:
        fix_shapes(visit)
        return unknown(visit)
    bound = inspect.signature(visit.layer.function).bind(*visit.call.args, **visit.call.kwargs)
    bound.apply_defaults()
    return found(visit, dict(bound.arguments))


def fix_shapes(visit: Visit) -> None:
    """Fixes what a number that is computed from a shape counts."""
    for tensor in visit.graph.symbolic(visit.call):
        visit.fix_all(visit.graph.shapes.get(id(tensor), []), "counted by")


def is_tensor(value: Any) -> bool:
    """Returns whether an argument is a tensor of the model."""
    return bool(TF_KERAS.is_symbolic(value))


def labels_of(visit: Visit, value: Any) -> Labels:
    """Returns the labels of an argument; none for a constant."""
    return visit.graph.labels[id(value)] if is_tensor(value) else [None] * np.ndim(value)


@operation(*_UNARY)
def _unary(visit: Visit, given: Given) -> list[Labels]:
    return [list(labels_of(visit, next(iter(given.values()))))]


@operation(*_BINARY)
def _binary(visit: Visit, given: Given) -> list[Labels]:
    return [joined(visit, dict(list(given.items())[:2]))]


@operation("where")
def _where(visit: Visit, given: Given) -> list[Labels]:
    if given["x"] is None:  # Then it tells where the condition holds.
        return unknown(visit)
    return [joined(visit, {name: given[name] for name in ("condition", "x", "y")})]


@operation("clip_by_value")
def _clip(visit: Visit, given: Given) -> list[Labels]:
    return [joined(visit, {name: given[name] for name in ("t", "clip_value_min", "clip_value_max")})]


@operation("math.add_n")
def _add_n(visit: Visit, given: Given) -> list[Labels]:
    if not all(is_tensor(one) for one in given["inputs"]):
        return unknown(visit)
    return [broadcast(visit, visit.inputs, visit.shapes)]


def joined(visit: Visit, operands: Given) -> Labels:
    """Returns the labels of operands joined position by position; constants with a number a channel go with them."""
    tensors = [one for one in operands.values() if is_tensor(one)]
    labels = broadcast(visit, [labels_of(visit, one) for one in tensors], [tuple(one.shape) for one in tensors])
    for name, value in operands.items():
        if is_tensor(value) or not np.ndim(value):
            continue
        if hasattr(value, "assign"):
            visit.fix_all(labels, "joined to a variable in")
            continue
        array = np.asarray(value)
        beside = beside_constant(visit, labels, array.shape)
        if beside is None:
            return unknown(visit, "joined to a constant of more axes in")[0]
        labels = beside
        axes = labels[len(labels) - array.ndim :]
        own: Labels = [label if size != 1 else None for label, size in zip(axes, array.shape, strict=True)]
        if any(label is not None for label in own):
            visit.rewrite(name, Chosen(array, own))
    return labels


def beside_constant(visit: Visit, labels: Labels, shape: tuple[int, ...]) -> Labels | None:
    """Returns the labels of what is joined to a constant of a shape; None where that has more axes.

    An axis of one number that becomes as many as the constant has is no channel any more.
    """
    first = len(labels) - len(shape)
    if first < 0:
        return None
    result = list(labels)
    for axis, size in enumerate(shape, start=first):
        label = result[axis]
        if label is not None and size not in (1, len(label)):
            visit.fix(label, "spread over many channels by")
            result[axis] = None
    return result


def axes_of(axis: Any, rank: int, default: Any) -> list[int]:
    axes = default if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    return [int(one) % rank for one in axes]


@operation(*(f"{prefix}reduce_{kind}" for prefix in ("", "math.") for kind in ("sum", "mean", "max", "min", "prod")))
def _reduce(visit: Visit, given: Given) -> list[Labels]:
    return reduced(visit, given["axis"], bool(given["keepdims"]), plain_symbol(visit.layer.symbol).endswith("_sum"))


def reduced(visit: Visit, axis: Any, keepdims: bool, sums: bool) -> list[Labels]:
    """Returns the labels of a tensor whose values along some axes, all of them for None, become one number."""
    labels = list(visit.inputs[0])
    axes = axes_of(axis, len(labels), range(len(labels)))
    for one in axes:
        if sums and labels[one] is not None:
            visit.ignore(visit.graph.symbolic(visit.call)[0], one)
        else:
            visit.fix(labels[one], "reduced to one number by")
    return [_after_reduction(labels, axes, keepdims)]


def _after_reduction(labels: Labels, axes: list[int], keepdims: bool) -> Labels:
    """Returns the labels without the axes that a reduction takes."""
    if keepdims:
        return [None if axis in axes else label for axis, label in enumerate(labels)]
    return [label for axis, label in enumerate(labels) if axis not in axes]


@operation("math.argmax", "argmax", "math.argmin", "argmin")
def _argmax(visit: Visit, given: Given) -> list[Labels]:
    labels = list(visit.inputs[0])
    axis = int(given["axis"] or 0) % len(labels)
    visit.fix(labels[axis], "counted along by")
    return [_after_reduction(labels, [axis], keepdims=False)]


@operation("nn.softmax", "nn.log_softmax", "math.l2_normalize", "nn.l2_normalize", "math.cumsum")
def _along(visit: Visit, given: Given) -> list[Labels]:
    usual = None if plain_symbol(visit.layer.symbol).endswith("l2_normalize") else -1
    return along(visit, usual if given["axis"] is None else given["axis"])


def along(visit: Visit, axis: Any) -> list[Labels]:
    """Returns the labels of a tensor whose values along some axes, all of them for None, hang on each other."""
    labels = list(visit.inputs[0])
    for one in axes_of(axis, len(labels), range(len(labels))):
        visit.fix(labels[one], "normalized together by")
    return [labels]


@operation("image.resize", *(f"nn.{kind}_pool{rank}" for kind in ("max", "avg") for rank in ("", "1d", "2d", "3d")))
def _over_pixels(visit: Visit, given: Given) -> list[Labels]:  # noqa: ARG001 - a rule's signature
    return [visit.only(visit.inputs[0], -1, "moved over by")]


@operation("gather")
def _gather(visit: Visit, given: Given) -> list[Labels]:
    params, indices = labels_of(visit, given["params"]), labels_of(visit, given["indices"])
    if given["batch_dims"] or any(label is not None for label in indices):
        return unknown(visit)
    axis = int(given["axis"] or 0) % len(params)
    visit.fix(params[axis], "looked up by")
    return [[*params[:axis], *[None] * len(indices), *params[axis + 1 :]]]


@operation("shape")
def _shape(visit: Visit, given: Given) -> list[Labels]:  # noqa: ARG001 - a rule's signature
    visit.graph.shapes[id(visit.call.outputs[0])] = visit.inputs[0]
    return [[None]]
