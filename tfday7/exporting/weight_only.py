"""Weights of 8 or 4 bits, computed with in float32: a `.tflite` file a quarter or an eighth of the size.

Each weight matrix or kernel is stored as integers with a scale for each of its channels, and DEQUANTIZE makes float32
of it when the file is loaded. So activations lose nothing, any operator takes part, and nothing has to be calibrated; a
run takes the memory of the float32 file, and with 8 bits its time. XNNPACK does not unpack 4 bits: there TFLite's own
kernels compute. Integers are symmetric, -127..127 and -7..7. With 4 bits the
scale is not always that of the largest weight: of several smaller ones that cut it off, the one of the least squared
error is taken.

Source: LiteRT's quantization specification, https://ai.google.dev/edge/litert/models/quantization_spec; choosing the
scale by the squared error: Sakr et al., 2022, "Optimal Clipping and Magnitude-aware Differentiation", arXiv:2206.06501.
"""

from __future__ import annotations

import numpy as np

from tfday7.exporting.tflite_contents import WEIGHT_MIN_ELEMENTS, channel_axis
from tfday7.exporting.tflite_editing import Editor

# Of DEQUANTIZE: since when it knows scales for each channel, and 4 bits. tflite/tools/versioning/op_version.cc.
VERSIONS = {8: 5, 4: 6}
CUTS = np.linspace(1.0, 0.5, 21)


def with_integer_weights(content: bytes, bits: int) -> bytes:
    """Returns a float32 `.tflite` file with its larger weights as integers.

    Args:
        content: the file.
        bits: 8 or 4.

    Raises:
        UserError: not a file that can be changed.
    """
    editor = Editor(content)
    for place, index, tensor, readers in editor.constants():
        shape = editor.shape(tensor)
        if editor.dtype(tensor) != "float32" or len(shape) < 2 or np.prod(shape) < WEIGHT_MIN_ELEMENTS:
            continue
        axis = channel_axis(editor.operator_name(readers[0]), len(shape))
        numbers, scales = quantized(editor.values(tensor), bits, axis)
        data = numbers.tobytes() if bits == 8 else packed(numbers)
        stored, _ = editor.unpack_by(place, index, "DEQUANTIZE", VERSIONS[bits], data)
        stored.type = editor.schema.TensorType.INT8 if bits == 8 else editor.schema.TensorType.INT4
        stored.quantization = editor.schema.QuantizationParametersT()
        stored.quantization.scale = scales
        stored.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        stored.quantization.quantizedDimension = axis
    editor.set_runtime_version(None)
    return editor.content()


def quantized(weights: np.ndarray, bits: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (integers of the shape of the weights, int8; scales float32, one for each place along the axis)."""
    most = 2 ** (bits - 1) - 1
    channels = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    largest = np.abs(channels).max(axis=1)
    scales = np.where(largest > 0, largest, 1.0) / most
    if bits < 8:
        errors = [_squared_error(channels, scales * cut, most) for cut in CUTS]
        scales = scales * CUTS[np.argmin(errors, axis=0)]
    scales = scales.astype(np.float32)
    shape = [-1 if place == axis else 1 for place in range(weights.ndim)]
    steps = np.rint(weights / scales.reshape(shape))
    return np.clip(steps, -most, most).astype(np.int8), scales


def packed(numbers: np.ndarray) -> bytes:
    """Returns 4-bit integers two a byte, the first in the lower half; an odd last one alone."""
    flat = numbers.reshape(-1).astype(np.uint8) & 0x0F
    flat = np.append(flat, 0).astype(np.uint8) if len(flat) % 2 else flat
    return (flat[0::2] | flat[1::2] << 4).astype(np.uint8).tobytes()


def _squared_error(channels: np.ndarray, scales: np.ndarray, most: int) -> np.ndarray:
    steps = np.clip(np.rint(channels / scales[:, np.newaxis]), -most, most)
    return np.sum((steps * scales[:, np.newaxis] - channels) ** 2, axis=1)
