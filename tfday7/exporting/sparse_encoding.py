"""Leaves the zeros of a pruned model out of its `.tflite` file.

Weights are stored as compressed rows: the values that are not zero, where each lies in its row, and where each row
ends. DENSIFY fills the zeros in when the file is loaded, so a run gives the same answers to the bit, and takes the same
memory. A row is what lies along one axis; of the last axis and the longest one, that is taken which needs fewer bytes,
and a tensor that gains nothing stays as it is.

What LiteRT takes was tried, as it is written nowhere: XNNPACK, which it applies of itself, refuses to load integer
weights of this form in fully connected layers, and beside float activations. Those stay in full. A file that LiteRT
does not load, or that answers otherwise than before, comes back in full, with a note.

Source: `SparsityParameters` in tflite/schema/schema.fbs of google-ai-edge/LiteRT.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.core.native_logs import without_notes
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_editing import NUMPY_TYPES, Editor

OVERHEAD_BYTES = 256  # Of the second tensor, the operator, and the description of the form.
DENSE, COMPRESSED = 0, 1
DENSIFY_SINCE = "2.2.0"  # Of TensorFlow Lite; tflite/tools/versioning/runtime_version.cc.
# Readers of sparse int8 weights that LiteRT loads, by the type of the activations beside them.
INTEGER_READERS = {
    "int8": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "int16": ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
}
EXAMPLES = 4


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A tensor without its zeros.

    Attributes:
        order: its axes, the one along which rows lie last.
        sizes: of these axes, in this order.
        segments: int32 [rows + 1]: where each row begins among the values, and the end.
        indices: int32: the place of each value in its row.
        values: what is not zero.
    """

    order: tuple[int, ...]
    sizes: tuple[int, ...]
    segments: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @property
    def size_bytes(self) -> int:
        """What it takes in a file."""
        parts = (self.values, narrow(self.segments), narrow(self.indices))
        return sum(part.nbytes for part in parts) + OVERHEAD_BYTES


def without_zeros(content: bytes) -> tuple[bytes, list[str]]:
    """Returns a file without the zeros of its weights, and notes for its user; the file itself where nothing is gained.

    Args:
        content: a `.tflite` file with one input and one output.

    Raises:
        UserError: not a file that can be changed.
    """
    editor, done, kept = Editor(content), 0, 0
    for place, index, tensor, readers in editor.constants():
        dtype = editor.dtype(tensor)
        if dtype not in ("float32", "float16", "int8") or len(editor.shape(tensor)) < 2 or tensor.sparsity is not None:
            continue
        values = editor.values(tensor)
        form = encoded(values)
        if form.size_bytes >= values.nbytes:
            continue
        if dtype == "int8" and not _takes_sparse(editor, place, readers):
            kept += 1
            continue
        _store(editor, place, index, form)
        done += 1
    notes = []
    if kept:
        notes.append(
            f"zeros of {kept} weight tensors are stored: LiteRT (XNNPACK) does not load sparse int8 weights of fully "
            "connected layers, or beside activations that are no integers"
        )
    if not done:
        return content, [*notes, "no weights were stored without their zeros: that would have saved nothing"]
    version = editor.summary.min_runtime_version
    if version is not None and _parts(version) < _parts(DENSIFY_SINCE):
        editor.set_runtime_version(DENSIFY_SINCE)
    smaller = editor.content()
    if why := _differs(content, smaller):
        return content, [*notes, f"zeros are stored: {why}"]
    say = f"the zeros of {done} weight tensors are not stored: {len(content):,} -> {len(smaller):,} bytes"
    return smaller, [
        *notes,
        f"{say}; the runtime needs the operator DENSIFY (TensorFlow Lite {DENSIFY_SINCE} and later)",
    ]


def encoded(values: np.ndarray) -> Encoded:
    """Returns a tensor in compressed rows, along the last or the longest axis, whichever takes fewer bytes."""
    axes = {values.ndim - 1, int(np.argmax(values.shape))}
    return min((_along(values, axis) for axis in sorted(axes)), key=lambda form: form.size_bytes)


def decoded(form: Encoded) -> np.ndarray:
    """Returns the tensor in full: the inverse of `encoded`."""
    rows = np.zeros((int(np.prod(form.sizes[:-1])), form.sizes[-1]), form.values.dtype)
    rows[np.repeat(np.arange(len(rows)), np.diff(form.segments)), form.indices] = form.values
    return np.transpose(rows.reshape(form.sizes), np.argsort(form.order))


def narrow(numbers: np.ndarray) -> np.ndarray:
    """Returns numbers that are not negative in the narrowest type that a file has for them."""
    most = int(numbers.max(initial=0))
    return numbers.astype(np.uint8 if most <= 255 else np.uint16 if most <= 65_535 else np.int32)


def _along(values: np.ndarray, axis: int) -> Encoded:
    order = (*(other for other in range(values.ndim) if other != axis), axis)
    turned = np.transpose(values, order)
    rows = turned.reshape(-1, turned.shape[-1])
    filled = rows != 0
    segments = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    return Encoded(order, turned.shape, segments, np.nonzero(filled)[1].astype(np.int32), rows[filled])


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def _takes_sparse(editor: Editor, place: int, readers: list[Any]) -> bool:
    tensors = editor.model.subgraphs[place].tensors
    return all(
        editor.operator_name(reader) in INTEGER_READERS.get(editor.dtype(tensors[reader.inputs[0]]), ())
        for reader in readers
    )


def _store(editor: Editor, place: int, index: int, form: Encoded) -> None:
    schema = editor.schema
    stored, _ = editor.unpack_by(place, index, "DENSIFY", 1, form.values.tobytes())
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = np.array(form.order, np.int32)
    sparsity.dimMetadata = []
    for size in form.sizes[:-1]:
        dense = schema.DimensionMetadataT()
        dense.format, dense.denseSize = DENSE, size
        sparsity.dimMetadata.append(dense)
    rows = schema.DimensionMetadataT()
    rows.format = COMPRESSED
    rows.arraySegmentsType, rows.arraySegments = _vector(schema, form.segments)
    rows.arrayIndicesType, rows.arrayIndices = _vector(schema, form.indices)
    sparsity.dimMetadata.append(rows)
    stored.sparsity = sparsity


def _vector(schema: Any, numbers: np.ndarray) -> tuple[int, Any]:
    numbers = narrow(numbers)
    name = {1: "Uint8Vector", 2: "Uint16Vector", 4: "Int32Vector"}[numbers.itemsize]
    vector = getattr(schema, f"{name}T")()
    vector.values = numbers
    return getattr(schema.SparseIndexVector, name), vector


def _differs(before: bytes, after: bytes) -> str:
    """Returns why LiteRT does not give the answers of one file with the other; empty when it does, to the bit."""
    end = tflite_file.read(before).inputs[0]
    generator = np.random.default_rng(0)
    x: np.ndarray = generator.normal(size=(EXAMPLES, *end.shape))
    if end.dtype in ("int8", "int16"):
        x = generator.integers(np.iinfo(end.dtype).min, np.iinfo(end.dtype).max, x.shape)
    elif not end.is_floating:
        x = np.zeros_like(x)  # Token ids: the first is always one.
    x = x.astype(NUMPY_TYPES.get(end.dtype, np.int64))
    try:
        answers = _answers(after, x)
    except (ValueError, RuntimeError) as error:
        return f"LiteRT does not load the smaller file ({str(error).strip().splitlines()[0][:200]})"
    same = all(np.array_equal(one, other) for one, other in zip(_answers(before, x), answers, strict=True))
    return "" if same else "LiteRT answers otherwise with the smaller file"


def _answers(content: bytes, x: np.ndarray) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    with without_notes():
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
    start, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for example in x:
        interpreter.reset_all_variables()
        interpreter.set_tensor(start, example)
        interpreter.invoke()
        found.append(interpreter.get_tensor(end))
    return found
