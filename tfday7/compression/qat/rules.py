"""How each kind of layer is computed in an int8 file: what decides where fake quantization goes.

A layer that is not in these tables is "inside": TFLite computes it in several operators, or in one whose inside only
the converter can calibrate, such as the 16-bit state of an LSTM. Then all ranges of the file come from the export's
calibration, as after training without quantization, because a file cannot mix both without falling back to floating
point between them; weights and values are rounded in training all the same.
"""

from __future__ import annotations

import enum
from typing import Any

from tfday7.compression.qat.flattening import activation_name, normalizes_last_axis


class Kind(enum.Enum):
    """What a call of a layer does to its values."""

    MOVES = "moves values or chooses among them: what comes out is on the grid of what goes in"
    SAME = "averages values on the grid of what goes in, to which TFLite rounds again"
    JOINS = "joins tensors, which have to be on one grid"
    COMPUTES = "computes new values in one operator"
    LINEAR = "multiplies by weights and adds, with higher precision inside"
    INSIDE = "is computed in several operators, or cannot be described from outside"


# attribute, axes of a range, blocks; see layers.QuantizedWeights. The last axis of a kernel that is not named in the
# axes is its output channel; TFLite wants Conv2DTranspose's [height, width, outputs, inputs] per output as well
# (model-optimization#771: a range over the wrong axis), and a depthwise kernel one for each channel and multiplier.
WEIGHTS: dict[str, list[tuple[str, tuple[int, ...] | None, int]]] = {
    "Dense": [("kernel", None, 1)],
    "Conv1D": [("kernel", (0, 1), 1)],
    "Conv2D": [("kernel", (0, 1, 2), 1)],
    "Conv2DTranspose": [("kernel", (0, 1, 3), 1)],
    "DepthwiseConv1D": [("depthwise_kernel", (0,), 1)],
    "DepthwiseConv2D": [("depthwise_kernel", (0, 1), 1)],
}
CONVOLUTIONS = tuple(name for name in WEIGHTS if name != "Dense")
_MOVES = (
    "Reshape", "Flatten", "Permute", "RepeatVector", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D",
    "MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Dropout", "SpatialDropout1D",
    "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization", "InputLayer",
    "RandomFlip",
)  # fmt: skip
_COMPUTES = (
    "Add", "Subtract", "Multiply", "Maximum", "Minimum", "Dot", "Embedding", "ReLU", "LeakyReLU", "PReLU",
    "Softmax", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "Rescaling",
)  # fmt: skip
_SAME = ("AveragePooling1D", "AveragePooling2D")
_FUNCTIONS = ("linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "gelu")
_MOVING_CALLS = (
    "reshape", "transpose", "compat.v1.transpose", "expand_dims", "squeeze", "compat.v1.squeeze", "identity",
    "stop_gradient", "__operators__.getitem", "slice", "strided_slice", "tile", "repeat", "broadcast_to", "gather",
    "compat.v1.gather", "split", "unstack", "math.reduce_max",
)  # fmt: skip
_COMPUTING_CALLS = (
    "__operators__.add", "math.add", "math.subtract", "math.multiply", "linalg.matmul", "math.maximum", "math.minimum",
    "nn.relu", "nn.relu6", "math.sigmoid", "nn.sigmoid", "math.tanh", "nn.tanh", "nn.softmax", "compat.v1.nn.softmax",
    "math.reduce_mean", "math.reduce_sum", "math.rsqrt", "nn.bias_add",
)  # fmt: skip
_SIGMOIDS = ("sigmoid", "math.sigmoid", "nn.sigmoid")
_SOFTMAXES = ("softmax", "nn.softmax", "compat.v1.nn.softmax")
_TANHS = ("tanh", "math.tanh", "nn.tanh")
_RELUS = ("relu", "relu6", "nn.relu", "nn.relu6")
_FLOATING = ("ELU", "elu", "nn.elu")
_TAKES_RELU = ("Add", "Subtract", "Multiply", "__operators__.add", "math.add", "math.subtract", "math.multiply")


# Operations of Keras 3, which the door keeps where tf_keras has no layer for them, and the function of TensorFlow that
# does the same. A model that was saved comes back with these in the place of TensorFlow's functions.
_OPERATIONS = {
    "Matmul": "linalg.matmul", "Swapaxes": "transpose", "Transpose": "transpose", "Moveaxis": "transpose",
    "Reshape": "reshape", "ExpandDims": "expand_dims", "Squeeze": "squeeze", "GetItem": "__operators__.getitem",
    "Slice": "slice", "Tile": "tile", "Repeat": "repeat", "BroadcastTo": "broadcast_to", "Take": "gather",
    "Identity": "identity", "StopGradient": "stop_gradient", "Max": "math.reduce_max", "Concatenate": "concat",
    "Add": "math.add", "Subtract": "math.subtract", "Multiply": "math.multiply", "Maximum": "math.maximum",
    "Minimum": "math.minimum", "Relu": "nn.relu", "Relu6": "nn.relu6", "Sigmoid": "math.sigmoid", "Tanh": "math.tanh",
    "Softmax": "nn.softmax", "Elu": "nn.elu", "Mean": "math.reduce_mean", "Sum": "math.reduce_sum",
    "Rsqrt": "math.rsqrt",
}  # fmt: skip


def name_of(layer: Any) -> str:
    """Returns the name of what a layer does: its class, or the TensorFlow function that it calls."""
    operation = str(getattr(layer, "operation", ""))
    return str(getattr(layer, "symbol", None) or _OPERATIONS.get(operation, operation) or type(layer).__name__)


def kind_of(layer: Any) -> Kind:
    """Returns what a layer of a flat model does to its values."""
    name = name_of(layer)
    if name in WEIGHTS:
        return Kind.LINEAR if _reads_channels_last(layer) else Kind.INSIDE
    if name == "BatchNormalization":
        return Kind.LINEAR if normalizes_last_axis(layer) else Kind.INSIDE
    if name == "LayerNormalization":
        return Kind.COMPUTES if normalizes_last_axis(layer) else Kind.INSIDE
    if name == "Activation":
        return Kind.COMPUTES if activation_name(layer.activation) in _FUNCTIONS else Kind.INSIDE
    if name == "Dot" and layer.normalize:
        return Kind.INSIDE
    if name in ("Concatenate", "concat"):
        return Kind.JOINS
    if name == "UpSampling2D":
        return Kind.MOVES if layer.interpolation == "nearest" else Kind.SAME
    if name in _SAME:
        return Kind.SAME
    if name in _MOVES or name in _MOVING_CALLS:
        return Kind.MOVES
    return Kind.COMPUTES if name in _COMPUTES or name in _COMPUTING_CALLS else Kind.INSIDE


def stays_floating(layer: Any) -> bool:
    """Returns whether the converter leaves a layer in floating point: no int8 file throughout has it."""
    return _function(layer) in _FLOATING


def fixed_range(layer: Any) -> tuple[float, float] | None:
    """Returns the range that TFLite fixes for what a layer gives, or None."""
    from tfday7.compression.qat.layers import SIGNED_UNIT, UNIT

    name = _function(layer)
    if name in (*_SIGMOIDS, *_SOFTMAXES, "Softmax"):
        return UNIT
    return SIGNED_UNIT if name in _TANHS else None


def is_relu(layer: Any) -> bool:
    """Returns whether a layer is a rectifier that TFLite computes with the operator before."""
    if type(layer).__name__ == "ReLU":
        whole = layer.max_value is None or float(layer.max_value) == 6.0
        return whole and not float(layer.negative_slope or 0.0) and not float(layer.threshold or 0.0)
    return _function(layer) in _RELUS


def takes_relu(layer: Any) -> bool:
    """Returns whether a rectifier behind a layer is computed with it."""
    name = name_of(layer)
    has_own = name in WEIGHTS and activation_name(layer.activation) != "linear"
    return (name in WEIGHTS or name == "BatchNormalization" or name in _TAKES_RELU) and not has_own


def takes_normalization(layer: Any) -> bool:
    """Returns whether a BatchNormalization behind a layer is folded into its weights."""
    return name_of(layer) in CONVOLUTIONS and activation_name(layer.activation) == "linear"


def reason_inside(layer: Any) -> str:
    """Returns why a layer is left to the export's calibration."""
    name = name_of(layer)
    if name == "Activation":
        name = activation_name(layer.activation)
    if name in RECURRENT:
        return (
            "recurrent: its weights are rounded in training; its state and gates, and so the ranges of this file, are "
            "left to the calibration of the export"
        )
    if name in ("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D"):
        return f"TFLite has no int8 operator for {name}"
    return (
        f"no fake quantization describes the inside of {name}; the ranges of this file are left to the calibration of "
        "the export"
    )


# Gates share a kernel in Keras and have one each in TFLite's fused operator. An unrolled GRU multiplies by all at once.
RECURRENT = {"LSTM": 4, "GRU": 1, "SimpleRNN": 1}


def recurrent_weights(layer: Any) -> list[tuple[str, tuple[int, ...] | None, int]]:
    """Returns which weights of a recurrent layer are rounded, as in `WEIGHTS`."""
    name = type(layer).__name__
    apart = 3 if name == "GRU" and not layer.cell.reset_after else RECURRENT[name]
    return [("cell.kernel", None, RECURRENT[name]), ("cell.recurrent_kernel", None, apart)]


def _function(layer: Any) -> str:
    return activation_name(layer.activation) if type(layer).__name__ == "Activation" else name_of(layer)


def _reads_channels_last(layer: Any) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last" and getattr(layer, "groups", 1) == 1
