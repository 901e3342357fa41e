"""TensorFlow functions that are called on symbolic tensors in a tf_keras model (`x + y`, `tf.reshape(x, ...)`).

tf_keras records each as a TFOpLambda layer. On the way out it becomes the `keras.ops` call that does the same; the
table doubles as the list of TensorFlow functions that a file may name: all of them compute on tensors, and do nothing
else (`io.write_file` is a TensorFlow function too).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras3, tf
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rules import outgoing_call


class Given(dict[str, Any]):
    """The arguments of a TensorFlow function by name; it remembers which of them a rule has asked for."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return super().__getitem__(name)

    def first(self, count: int) -> list[Any]:
        """Returns the first arguments, whatever their names."""
        return [self[name] for name in list(self)[:count]]


Rule = Callable[[Given], Any]  # From the TensorFlow function's arguments to the outputs.

# Arguments that change how a function computes, never what; and `num`, which tf.split reads off its sizes.
_HARMLESS = frozenset((
    *("a_is_sparse", "b_is_sparse", "grad_a", "grad_b", "kwargs", "name", "num", "optimize", "validate_indices"),
))  # fmt: skip

# keras.ops function -> the TensorFlow functions whose first argument, or first two, it takes.
_UNARY = {
    "abs": ("math.abs", "abs", "__operators__.abs"),
    "ceil": ("math.ceil",),
    "copy": ("identity",),
    "cos": ("math.cos",),
    "elu": ("nn.elu",),
    "erf": ("math.erf",),
    "exp": ("math.exp",),
    "floor": ("math.floor",),
    "log": ("math.log",),
    "log1p": ("math.log1p",),
    "logical_not": ("math.logical_not",),
    "negative": ("math.negative", "__operators__.neg"),
    "reciprocal": ("math.reciprocal",),
    "relu": ("nn.relu",),
    "relu6": ("nn.relu6",),
    "round": ("math.round",),
    "rsqrt": ("math.rsqrt",),
    "selu": ("nn.selu",),
    "sigmoid": ("math.sigmoid", "nn.sigmoid"),
    "sign": ("math.sign",),
    "sin": ("math.sin",),
    "softplus": ("math.softplus", "nn.softplus"),
    "softsign": ("nn.softsign",),
    "sqrt": ("math.sqrt",),
    "square": ("math.square",),
    "stop_gradient": ("stop_gradient",),
    "tanh": ("math.tanh", "nn.tanh"),
}
_BINARY = {
    "add": ("math.add", "__operators__.add"),
    "broadcast_to": ("broadcast_to",),
    "divide_no_nan": ("math.divide_no_nan",),
    "equal": ("math.equal", "__operators__.eq"),
    "expand_dims": ("expand_dims",),
    "floor_divide": ("math.floordiv", "__operators__.floordiv"),
    "greater": ("math.greater", "__operators__.gt"),
    "greater_equal": ("math.greater_equal", "__operators__.ge"),
    "less": ("math.less", "__operators__.lt"),
    "less_equal": ("math.less_equal", "__operators__.le"),
    "logical_and": ("math.logical_and", "__operators__.and"),
    "logical_or": ("math.logical_or", "__operators__.or"),
    "maximum": ("math.maximum",),
    "minimum": ("math.minimum",),
    "mod": ("math.floormod", "__operators__.mod"),
    "multiply": ("math.multiply", "__operators__.mul"),
    "not_equal": ("math.not_equal", "__operators__.ne"),
    "power": ("math.pow", "__operators__.pow"),
    "squeeze": ("squeeze",),
    "subtract": ("math.subtract", "__operators__.sub"),
    "tile": ("tile",),
    "true_divide": ("math.divide", "math.truediv", "__operators__.truediv", "__operators__.div"),
}
_REDUCTIONS = ("all", "any", "max", "mean", "min", "prod", "sum")
SYMBOLS: dict[str, Rule] = {}


def symbol(*names: str) -> Callable[[Rule], Rule]:
    """Returns a decorator: the rule calls keras.ops as these TensorFlow functions would compute."""

    def add(rule: Rule) -> Rule:
        SYMBOLS.update(dict.fromkeys(names, rule))
        return rule

    return add


def _first_arguments(function: str, count: int) -> Rule:
    return lambda given: getattr(keras3.ops, function)(*given.first(count))


def _reduction(function: str) -> Rule:
    return lambda given: getattr(keras3.ops, function)(
        given["input_tensor"], axis=_axes(given["axis"]), keepdims=bool(given["keepdims"])
    )


for _function, _names in _UNARY.items():
    symbol(*_names)(_first_arguments(_function, 1))
for _function, _names in _BINARY.items():
    symbol(*_names)(_first_arguments(_function, 2))
for _function in _REDUCTIONS:
    symbol(f"math.reduce_{_function}", f"reduce_{_function}")(_reduction(_function))


@symbol("concat")
def _concat(given: Given) -> Any:
    return keras3.ops.concatenate(list(given["values"]), axis=int(given["axis"]))


@symbol("stack")
def _stack(given: Given) -> Any:
    return keras3.ops.stack(list(given["values"]), axis=given["axis"])


@symbol("split")
def _split(given: Given) -> Any:
    value, sizes, axis = given["value"], given["num_or_size_splits"], int(given["axis"])
    if not isinstance(sizes, (list, tuple, np.ndarray)):
        return keras3.ops.split(value, int(sizes), axis=axis)
    total = value.shape[axis]
    if total is None:
        raise UserError(
            f"tf.split into the sizes {list(sizes)} of an axis whose own size is unknown has no equal in keras.ops",
            "give the input a fixed shape, or split it by slicing",
        )
    known = [int(size) for size in sizes]
    known = [total - sum(one for one in known if one >= 0) if size < 0 else size for size in known]
    if len(known) == 1:  # One part has no place to split at.
        return keras3.ops.split(value, 1, axis=axis)
    return keras3.ops.split(value, [sum(known[:end]) for end in range(1, len(known))], axis=axis)


@symbol("unstack")
def _unstack(given: Given) -> Any:
    return keras3.ops.unstack(given["value"], given["num"], given["axis"])


@symbol("reshape")
def _reshape(given: Given) -> Any:
    shape = tf.get_static_value(given["shape"]) if tf.is_tensor(given["shape"]) else given["shape"]
    return keras3.ops.reshape(given["tensor"], tuple(int(size) for size in shape))


@symbol("transpose")
def _transpose(given: Given) -> Any:
    return keras3.ops.transpose(given["a"], given["perm"])


@symbol("linalg.matmul")
def _matmul(given: Given) -> Any:
    pair = [given["a"], given["b"]]
    for index, side in enumerate("ab"):
        adjoint = given[f"adjoint_{side}"]
        if adjoint and "complex" in str(pair[index].dtype):
            pair[index] = keras3.ops.conjugate(pair[index])
        if adjoint or given[f"transpose_{side}"]:
            pair[index] = keras3.ops.swapaxes(pair[index], -1, -2)
    return keras3.ops.matmul(*pair)


@symbol("__operators__.matmul")
def _matmul_operator(given: Given) -> Any:
    return keras3.ops.matmul(*given.first(2))


@symbol("einsum")
def _einsum(given: Given) -> Any:
    return keras3.ops.einsum(given["equation"], *given["inputs"])


@symbol("cast")
def _cast(given: Given) -> Any:
    return keras3.ops.cast(given["x"], _dtype(given["dtype"]))


@symbol("ones_like")
def _ones_like(given: Given) -> Any:
    return keras3.ops.ones_like(*given.first(1), dtype=_dtype(given["dtype"]))


@symbol("zeros_like")
def _zeros_like(given: Given) -> Any:
    return keras3.ops.zeros_like(*given.first(1), dtype=_dtype(given["dtype"]))


@symbol("clip_by_value")
def _clip(given: Given) -> Any:
    return keras3.ops.clip(given["t"], given["clip_value_min"], given["clip_value_max"])


@symbol("where")
def _where(given: Given) -> Any:
    if given["x"] is None:
        raise UserError("tf.where(condition) without x and y has no equal in keras.ops", "give it x and y")
    return keras3.ops.where(given["condition"], given["x"], given["y"])


@symbol("pad")
def _pad(given: Given) -> Any:
    mode = {"CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"}[given["mode"].upper()]
    value = {"constant_values": given["constant_values"]} if mode == "constant" else {}
    return keras3.ops.pad(given["tensor"], [list(pair) for pair in given["paddings"]], mode=mode, **value)


@symbol("nn.softmax")
def _softmax(given: Given) -> Any:
    return keras3.ops.softmax(given["logits"], axis=-1 if given["axis"] is None else given["axis"])


@symbol("nn.log_softmax")
def _log_softmax(given: Given) -> Any:
    return keras3.ops.log_softmax(given["logits"], axis=-1 if given["axis"] is None else given["axis"])


@symbol("nn.silu", "nn.swish")
def _silu(given: Given) -> Any:
    x, beta, ops = given["features"], float(given["beta"]), keras3.ops
    return ops.silu(x) if beta == 1.0 else ops.multiply(x, ops.sigmoid(ops.multiply(x, beta)))


@symbol("nn.leaky_relu")
def _leaky_relu(given: Given) -> Any:
    return keras3.ops.leaky_relu(given["features"], negative_slope=float(given["alpha"]))


@symbol("nn.gelu")
def _gelu(given: Given) -> Any:
    return keras3.ops.gelu(given["features"], approximate=bool(given["approximate"]))


@symbol("one_hot")
def _one_hot(given: Given) -> Any:
    on, off, ops = given["on_value"], given["off_value"], keras3.ops
    indices, depth, axis = given["indices"], int(given["depth"]), -1 if given["axis"] is None else given["axis"]
    dtype = _dtype(given["dtype"])
    if on is None and off is None:
        return ops.one_hot(indices, depth, axis=axis, dtype=dtype or "float32")
    dtype = dtype or tf.convert_to_tensor(off if on is None else on).dtype.name  # As TensorFlow finds it.
    # As lists: a file has no type for a number alone.
    values = [np.full(1, number, dtype) for number in (1 if on is None else on, 0 if off is None else off)]
    return ops.where(ops.one_hot(indices, depth, axis=axis, dtype="bool"), *values)


@symbol("math.argmax", "argmax")
def _argmax(given: Given) -> Any:
    axis = 0 if given["axis"] is None else given["axis"]
    return keras3.ops.cast(keras3.ops.argmax(given["input"], axis=axis), _dtype(given["output_type"]))


@symbol("shape")
def _shape(given: Given) -> Any:
    raise UserError(
        f"tf.shape({given['input']}) cannot go to Keras 3, whose shapes are no tensors",
        "write -1 for the batch size in tf.reshape, or use a Keras layer",
    )


@symbol("gather")
def _gather(given: Given) -> Any:
    if given["batch_dims"]:
        raise UserError("tf.gather with batch_dims has no equal in keras.ops", "use keras.layers with masks or one_hot")
    return keras3.ops.take(given["params"], given["indices"], axis=given["axis"] or 0)


@symbol("reverse")
def _reverse(given: Given) -> Any:
    return keras3.ops.flip(given["tensor"], axis=_axes(given["axis"]))


@symbol("math.l2_normalize", "nn.l2_normalize")
def _l2_normalize(given: Given) -> Any:
    x, ops = given["x"], keras3.ops
    total = ops.sum(ops.square(x), axis=_axes(given["axis"]), keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, float(given["epsilon"]))))


@symbol("nn.depth_to_space")
def _depth_to_space(given: Given) -> Any:
    return keras3.ops.depth_to_space(given["input"], given["block_size"], data_format="channels_last")


@symbol("nn.space_to_depth")
def _space_to_depth(given: Given) -> Any:
    return keras3.ops.space_to_depth(given["input"], given["block_size"], data_format="channels_last")


@symbol("image.resize")
def _resize(given: Given) -> Any:
    if given["preserve_aspect_ratio"]:
        raise UserError("tf.image.resize(preserve_aspect_ratio=True) has no equal in keras.ops", "use layers.Resizing")
    size = tuple(int(one) for one in given["size"])
    method = str(getattr(given["method"], "value", given["method"]))
    return keras3.ops.image.resize(
        given["images"], size, interpolation=method, antialias=bool(given["antialias"]), data_format="channels_last"
    )


@symbol("math.add_n")
def _add_n(given: Given) -> Any:
    total, *rest = given["inputs"]
    for one in rest:
        total = keras3.ops.add(total, one)
    return total


@symbol("__operators__.getitem")
def _getitem(given: Given) -> Any:
    tensor, key = given.first(2)
    parts = key if isinstance(key, (list, tuple)) else [key]
    key = tuple(slice(p["start"], p["stop"], p["step"]) if isinstance(p, dict) else p for p in parts)
    return tensor[key]


@outgoing_call("TFOpLambda", "SlicingOpLambda")
def _outgoing(call: Call, tensors: dict[int, Any], rebuild: Any) -> Any:  # noqa: ARG001 - a rule's signature
    layer = call.layer
    rule = SYMBOLS.get(plain_symbol(layer.symbol))
    if rule is None:
        raise UserError(
            f"layer {layer.name!r}: tf.{layer.symbol or layer.function.__name__} has no known equal in keras.ops",
            "call it inside a layer of your own and register that, or use a Keras layer (docs/keras3_door.md)",
        )
    args = TF_KERAS.map(lambda leaf: tensors.get(id(leaf), leaf), list(call.args))
    kwargs = TF_KERAS.map(lambda leaf: tensors.get(id(leaf), leaf), call.kwargs)
    signature = inspect.signature(layer.function)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    given = Given({name: _constant(value) for name, value in bound.arguments.items()})
    outputs = rule(given)
    for name, value in given.items():
        if name not in given.used | _HARMLESS and not _same(value, signature.parameters[name].default):
            raise UserError(
                f"layer {layer.name!r}: {name}={value!r} of tf.{layer.symbol} has no equal in keras.ops",
                "leave the argument at its default, or use a Keras layer (docs/keras3_door.md)",
            )
    return outputs


def plain_symbol(name: Any) -> str:
    """Returns a TensorFlow function's name without the mark of its older generation."""
    return str(name).removeprefix("compat.v1.")


def _constant(value: Any) -> Any:
    """Returns eager tensors as arrays, which Keras 3 can write into a file."""
    if isinstance(value, (list, tuple)):
        return type(value)(_constant(item) for item in value)
    return value.numpy() if tf.is_tensor(value) and hasattr(value, "numpy") else value


def _same(value: Any, default: Any) -> bool:
    plain = (bool, int, float, str)
    return value is default or (isinstance(value, plain) and isinstance(default, plain) and value == default)


def _dtype(dtype: Any) -> str | None:
    return None if dtype is None else tf.as_dtype(dtype).name


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis
