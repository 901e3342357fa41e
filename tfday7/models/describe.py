"""What a model costs before it is trained: parameters, multiplications, and memory for activations.

A multiply-accumulate is one multiplication with its addition, as papers count them; element-wise work (activations,
normalization, additions) is left out, as they do. What has no rule here is named, and the total is unknown then.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.models.door.template import filled

Shape = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Description:
    """The size of a model.

    Attributes:
        model: its name.
        parameters, trainable_parameters: numbers of weights.
        macs: multiply-accumulates of one example; None when a layer could not be counted.
        macs_by_layer_type: the same by class of layer, the largest first.
        not_counted: layers without a rule, with the reason.
        activation_bytes: of all layers' outputs for one example, what training keeps at most for the way back.
    """

    model: str
    parameters: int
    trainable_parameters: int
    macs: int | None
    macs_by_layer_type: dict[str, int]
    not_counted: dict[str, str]
    activation_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)


def describe(model: Any) -> Description:
    """Returns what a tf_keras functional model costs."""
    macs: dict[str, int] = {}
    not_counted: dict[str, str] = {}
    activation_bytes = 0
    for node in nodes(model):
        kind = type(node.layer).__name__
        activation_bytes += sum(_bytes(tensor) for tensor in tf.nest.flatten(node.outputs))
        try:
            count = _count(node)
        except NotImplementedError as error:
            not_counted[node.layer.name] = str(error)
            continue
        if count:
            macs[kind] = macs.get(kind, 0) + count
    return Description(
        model=model.name,
        parameters=int(model.count_params()),
        trainable_parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=None if not_counted else sum(macs.values()),
        macs_by_layer_type=dict(sorted(macs.items(), key=lambda item: -item[1])),
        not_counted=not_counted,
        activation_bytes=activation_bytes,
    )


def nodes(model: Any) -> Iterator[Any]:
    """Yields every call of a layer in a functional model, those in nested models too; a shared layer comes twice."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if hasattr(node.layer, "_nodes_by_depth"):
                yield from nodes(node.layer)
            elif not isinstance(node.layer, keras.layers.InputLayer):
                yield node


def _count(node: Any) -> int:
    """Returns the multiply-accumulates of one call; raises NotImplementedError with the reason where none is known."""
    layer = node.layer
    for kind in type(layer).__mro__:
        if kind.__name__ in _RULES:
            return _RULES[kind.__name__](layer, node)
    name = type(layer).__name__
    if name == "Lambda" or type(layer).__module__.partition(".")[0] not in _KNOWN_PACKAGES:
        raise NotImplementedError(f"no rule for {name}, whose code may multiply")
    if layer.weights and name not in _ELEMENTWISE:
        raise NotImplementedError(f"no rule for {name}")
    return 0


def _convolution(layer: Any, node: Any) -> int:
    return _positions(layer, node.output_shapes) * math.prod(layer.kernel.shape)


def _transposed(layer: Any, node: Any) -> int:
    return _positions(layer, node.input_shapes) * math.prod(layer.kernel.shape)


def _depthwise(layer: Any, node: Any) -> int:
    return _positions(layer, node.output_shapes) * math.prod(layer.depthwise_kernel.shape)


def _separable(layer: Any, node: Any) -> int:
    return _depthwise(layer, node) + _positions(layer, node.output_shapes) * math.prod(layer.pointwise_kernel.shape)


def _dense(layer: Any, node: Any) -> int:
    return math.prod(_known(node.output_shapes[1:-1])) * math.prod(layer.kernel.shape)


def _recurrent(layer: Any, node: Any) -> int:
    shapes = node.input_shapes  # With initial states there are several.
    (steps,) = _known((shapes[0] if isinstance(shapes, list) else shapes)[1:2])
    return steps * (math.prod(layer.cell.kernel.shape) + math.prod(layer.cell.recurrent_kernel.shape))


def _bidirectional(layer: Any, node: Any) -> int:
    return _recurrent(layer.forward_layer, node) + _recurrent(layer.backward_layer, node)


def _dot(layer: Any, node: Any) -> int:
    axis = layer.axes[0] if isinstance(layer.axes, (list, tuple)) else layer.axes
    return _summed(node.output_shapes, node.input_shapes[0][axis])


def _einsum_dense(layer: Any, node: Any) -> int:
    return _einsum(layer.equation, [node.input_shapes, layer.kernel.shape], node.output_shapes)


def _multi_head_attention(layer: Any, node: Any) -> int:
    """Returns those of the four projections, and of each query with each key and each value."""
    given = inspect.signature(layer.call).bind(*node.call_args, **node.call_kwargs).arguments
    query, value = (tuple(given[role].shape) for role in ("query", "value"))
    ours, theirs = (math.prod(_known(shape[1:-1])) for shape in (query, value))
    attended = math.prod(_known(tuple(value[axis] for axis in layer._attention_axes)))
    kernels = {role: math.prod(getattr(layer, f"_{role}_dense").kernel.shape) for role in _PROJECTIONS}
    projected = ours * (kernels["query"] + kernels["output"]) + theirs * (kernels["key"] + kernels["value"])
    return projected + ours * attended * layer._num_heads * (layer._key_dim + layer._value_dim)


def _attention(layer: Any, node: Any) -> int:
    if layer.score_mode != "dot":
        raise NotImplementedError(f"no rule for the score mode {layer.score_mode!r}")
    return _attended(node)


def _additive_attention(layer: Any, node: Any) -> int:
    """Returns those of each query with each value; what is compared is added, and multiplied by the scales if any."""
    return _attended(node, compared=layer.use_scale)


def _attended(node: Any, compared: bool = True) -> int:
    query, value, *key = (tuple(one.shape) for one in node.call_args[0])
    sizes = ((key[0] if key else value)[-1], value[-1]) if compared else (value[-1],)
    return math.prod(_known((*query[1:-1], value[-2]))) * sum(_known(sizes))


def _operation(layer: Any, node: Any) -> int:
    symbol = str(layer.symbol).removeprefix("compat.v1.")
    if symbol in ("linalg.matmul", "__operators__.matmul"):
        given = inspect.signature(layer.function).bind(*node.call_args, **node.call_kwargs).arguments
        turned = given.get("transpose_a") or given.get("adjoint_a")
        return _summed(node.output_shapes, _shape(next(iter(given.values())))[-2 if turned else -1])
    if symbol == "einsum":
        equation, *operands = node.call_args
        return _einsum(equation, [_shape(one) for one in operands], node.output_shapes)
    if symbol not in _NO_PRODUCTS and any(word in symbol for word in _PRODUCTS):
        raise NotImplementedError(f"no rule for tf.{symbol}")
    return 0


def _keras_operation(layer: Any, node: Any) -> int:
    if layer.operation in _KEPT_PRODUCTS:
        raise NotImplementedError(f"no rule for the operation {layer.operation}")
    operands, _ = filled(json.loads(layer.arguments), tf.nest.flatten(node.call_args))
    if layer.operation == "Matmul":
        return _summed(node.output_shapes, operands[0].shape[-1])
    if layer.operation == "Einsum":
        return _einsum(json.loads(layer.settings)["subscripts"], [one.shape for one in operands], node.output_shapes)
    return 0


def _einsum(equation: str, shapes: Sequence[Shape], output: Shape) -> int:
    """Returns those of a sum of products of two tensors."""
    left, arrow, written = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if not arrow or len(names) > 2:
        raise NotImplementedError(f"no rule for the einsum {equation}")
    summed: dict[str, Any] = {}
    for name, shape in zip(names, shapes, strict=True):
        before, _, behind = name.partition("...")
        sizes = [*zip(before, shape, strict=False), *zip(behind[::-1], shape[::-1], strict=False)]
        summed |= {letter: size for letter, size in sizes if letter not in written}
    return _summed(output, *summed.values()) if len(names) == 2 else 0


def _summed(output: Shape, *sizes: Any) -> int:
    """Returns those of a result of this shape, each number of which sums products along axes of these sizes."""
    return math.prod(_known((*output[1:], *sizes)))


# TensorFlow's functions that sum products have one of these in their names, and some that do not.
_PRODUCTS = ("linalg.", "tensordot", "conv1d", "conv2d", "conv3d", "conv_transpose", "convolution", "signal.")
_NO_PRODUCTS = {
    *("linalg.band_part", "linalg.diag", "linalg.diag_part", "linalg.matrix_transpose", "linalg.norm"),
    *("linalg.normalize", "linalg.l2_normalize", "linalg.set_diag", "linalg.trace", "linalg.eye"),
}
_KNOWN_PACKAGES = ("tf_keras", "keras", "tfday7")  # Of other layers nobody knows what their code does.
_PROJECTIONS = ("query", "key", "value", "output")
# Operations of Keras 3 that the door keeps and that multiply, but have no rule here.
_KEPT_PRODUCTS = frozenset((
    *("Dot", "Tensordot", "Inner", "Outer", "Vdot", "Kron", "Cross", "Convolve", "Correlate", "DotProductAttention"),
    *("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv"),
))  # fmt: skip
_RULES: dict[str, Callable[[Any, Any], int]] = {
    "Conv1DTranspose": _transposed, "Conv2DTranspose": _transposed, "Conv3DTranspose": _transposed,
    "SeparableConv1D": _separable, "SeparableConv2D": _separable,
    "DepthwiseConv1D": _depthwise, "DepthwiseConv2D": _depthwise,
    "Conv1D": _convolution, "Conv2D": _convolution, "Conv3D": _convolution,
    "Dense": _dense, "LSTM": _recurrent, "GRU": _recurrent, "SimpleRNN": _recurrent,
    "Bidirectional": _bidirectional, "Dot": _dot, "TFOpLambda": _operation, "KerasOperation": _keras_operation,
    "EinsumDense": _einsum_dense, "MultiHeadAttention": _multi_head_attention, "Attention": _attention,
    "AdditiveAttention": _additive_attention,
}  # fmt: skip
_ELEMENTWISE = {
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Normalization", "Embedding",
    "PReLU", "Dropout", "GaussianNoise", "GaussianDropout", "RandomFlip", "RandomRotation", "RandomZoom",
}  # fmt: skip


def _positions(layer: Any, shape: Shape) -> int:
    spatial = shape[2:] if layer.data_format == "channels_first" else shape[1:-1]
    return math.prod(_known(spatial))


def _shape(value: Any) -> Shape:
    """Returns the shape of an argument: a tensor, or numbers as a list."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


def _known(shape: Shape) -> Shape:
    if None in shape:
        raise NotImplementedError(f"its size {shape} is open")
    return shape


def _bytes(tensor: Any) -> int:
    return math.prod(size or 1 for size in tensor.shape[1:]) * int(tf.as_dtype(tensor.dtype).size)
