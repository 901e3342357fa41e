"""What a model costs before it is trained: parameters, multiplications, and memory for activations.

A multiply-accumulate is one multiplication with its addition, as papers count them; element-wise work (activations,
normalization, additions) is left out, as they do. What has no rule here is named, and the total is unknown then.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.frameworks import keras, tf

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
    if layer.weights and type(layer).__name__ not in _ELEMENTWISE:
        raise NotImplementedError(f"no rule for {type(layer).__name__}")
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
    return math.prod(_known(node.output_shapes[1:])) * _known(node.input_shapes[0])[axis]


def _operation(layer: Any, node: Any) -> int:
    symbol = str(layer.symbol).removeprefix("compat.v1.")
    if symbol in ("linalg.matmul", "__operators__.matmul"):
        first = node.input_shapes[0] if isinstance(node.input_shapes, list) else node.input_shapes
        contracted = -2 if node.call_kwargs.get("transpose_a") else -1
        return math.prod(_known(node.output_shapes[1:])) * _known(first[contracted:][:1])[0]
    if symbol in ("einsum", "tensordot", "nn.conv2d", "nn.convolution", "nn.depthwise_conv2d"):
        raise NotImplementedError(f"no rule for tf.{symbol}")
    return 0


_RULES: dict[str, Callable[[Any, Any], int]] = {
    "Conv1DTranspose": _transposed, "Conv2DTranspose": _transposed, "Conv3DTranspose": _transposed,
    "SeparableConv1D": _separable, "SeparableConv2D": _separable,
    "DepthwiseConv1D": _depthwise, "DepthwiseConv2D": _depthwise,
    "Conv1D": _convolution, "Conv2D": _convolution, "Conv3D": _convolution,
    "Dense": _dense, "LSTM": _recurrent, "GRU": _recurrent, "SimpleRNN": _recurrent,
    "Bidirectional": _bidirectional, "Dot": _dot, "TFOpLambda": _operation,
}  # fmt: skip
_ELEMENTWISE = {
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Normalization", "Embedding",
    "PReLU", "Dropout", "GaussianNoise", "GaussianDropout", "RandomFlip", "RandomRotation", "RandomZoom",
}  # fmt: skip


def _positions(layer: Any, shape: Shape) -> int:
    spatial = shape[2:] if layer.data_format == "channels_first" else shape[1:-1]
    return math.prod(_known(spatial))


def _known(shape: Shape) -> Shape:
    if None in shape[1:] or (len(shape) == 1 and shape[0] is None):
        raise NotImplementedError(f"its size {shape} is open")
    return shape


def _bytes(tensor: Any) -> int:
    return math.prod(size or 1 for size in tensor.shape[1:]) * int(tf.as_dtype(tensor.dtype).size)
