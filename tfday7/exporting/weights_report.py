"""How many zeros and how many different values the weights of a `.tflite` file have, from what it stores.

So that what pruning and clustering promise can be seen in the file that is delivered, not in the model before it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.exporting import tflite_file
from tfday7.exporting.sparse_encoding import Encoded, decoded
from tfday7.exporting.tflite_contents import channel_axis
from tfday7.exporting.tflite_editing import NUMPY_TYPES, Editor

NIBBLES = ("int4", "uint4")


@dataclasses.dataclass(frozen=True)
class Weights:
    """One kernel, matrix or table of weights; biases and other vectors are none.

    Attributes:
        tensor: its name.
        shape: as the file has it, output channels first for convolutions and dense layers.
        dtype: of the stored numbers.
        is_sparse: whether zeros are left out.
        sparsity: share of the numbers that stand for 0.
        distinct_values: how many different numbers it holds, zero among them.
        distinct_values_per_channel_max: the most in one output channel: what clustering leaves of a tensor whose
            channels have scales of their own.
        operator: what reads it, behind what unpacks it.
    """

    tensor: str
    shape: tuple[int, ...]
    dtype: str
    is_sparse: bool
    sparsity: float
    distinct_values: int
    distinct_values_per_channel_max: int
    operator: str

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}


def weights_report(source: Path | bytes) -> list[Weights]:
    """Returns what is known of each tensor of weights of two and more axes, in the order of the file.

    Args:
        source: a path, or the file's content.

    Raises:
        UserError: no readable `.tflite` file.
    """
    tflite_file.read(source)  # With a message that names the path.
    editor = Editor(source if isinstance(source, bytes) else source.read_bytes())
    found = []
    for place, _, tensor, readers in editor.constants():
        dtype, quantization = editor.dtype(tensor), tensor.quantization
        is_quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
        if len(editor.shape(tensor)) < 2 or not (is_quantized or dtype in ("float32", "float16")):
            continue
        operator = _reader(editor, place, readers[0])
        axis = channel_axis(operator, len(editor.shape(tensor)))
        if is_quantized and len(quantization.scale) > 1:
            axis = quantization.quantizedDimension
        numbers = stored_numbers(editor, tensor)
        zero = int(quantization.zeroPoint[0]) if is_quantized and quantization.zeroPoint is not None else 0
        channels = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
        found.append(
            Weights(
                _text(tensor.name),
                editor.shape(tensor),
                dtype,
                tensor.sparsity is not None,
                float(np.mean(numbers == zero)),
                len(np.unique(numbers)),
                max(len(np.unique(channel)) for channel in channels),
                operator,
            )
        )
    return found


def stored_numbers(editor: Editor, tensor: Any) -> np.ndarray:
    """Returns a constant in full, in its shape: 4-bit integers as int8, zeros that are not stored filled in."""
    data = np.ascontiguousarray(editor.model.buffers[tensor.buffer].data, np.uint8)
    dtype, shape = editor.dtype(tensor), editor.shape(tensor)
    if dtype in NIBBLES:
        both = np.stack([data & 0x0F, data >> 4], axis=1).reshape(-1)[: int(np.prod(shape))].astype(np.int8)
        return (np.where(both > 7, both - 16, both) if dtype == "int4" else both).astype(np.int8).reshape(shape)
    numbers = data.view(NUMPY_TYPES[dtype])
    return _filled(numbers, tensor.sparsity, shape) if tensor.sparsity is not None else numbers.reshape(shape)


def _filled(values: np.ndarray, sparsity: Any, shape: tuple[int, ...]) -> np.ndarray:
    order = tuple(int(axis) for axis in sparsity.traversalOrder)
    last = sparsity.dimMetadata[-1]
    blocks = sparsity.blockMap is not None and len(sparsity.blockMap) > 0
    if blocks or len(order) != len(shape) or any(entry.format for entry in sparsity.dimMetadata[:-1]):
        raise ValueError("sparse weights in blocks, or compressed along more than one axis")
    segments = np.asarray(last.arraySegments.values, np.int32)
    indices = np.asarray(last.arrayIndices.values, np.int32)
    return decoded(Encoded(order, tuple(shape[axis] for axis in order), segments, indices, values))


def _reader(editor: Editor, place: int, operator: Any) -> str:
    """Returns the name of the operator that reads a constant, behind what unpacks it."""
    name = editor.operator_name(operator)
    while name in ("DEQUANTIZE", "DENSIFY"):
        output = int(operator.outputs[0])
        following = [other for other in editor.model.subgraphs[place].operators if output in list(other.inputs)]
        if not following:
            break
        operator = following[0]
        name = editor.operator_name(operator)
    return name


def _text(name: Any) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name or "")
