"""What a `.tflite` file holds, read from its flatbuffer. Nothing is run.

The generated reader that LiteRT ships follows every offset it finds. So each list is held against the file's size
before it is walked, each index against its table, and whatever a damaged file makes the reader raise becomes a
UserError. What such a file may still hold is other weights: a flipped bit there is for the digest in the artefact's
record to find.
"""

from __future__ import annotations

import collections
import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting.tflite_contents import BITS, FLOATING, Node, Operator, Signature, Summary, Tensor
from tfday7.exporting.tflite_gates import KINDS, float_islands, notes, problems

__all__ = [
    "BITS", "FLOATING", "KINDS", "Node", "Operator", "Signature", "Summary", "Tensor", "constant", "float_islands",
    "notes", "problems", "read",
]  # fmt: skip

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
MIN_RUNTIME_VERSION = "min_runtime_version"
MAX_BYTES = 2**31 - 1  # A flatbuffer's offsets have 32 bits; larger files keep their constants outside of it.
SMALL_BYTES = 256  # Of a constant whose values are read: shapes, axes, strides.
_HINT = "export the model again, or copy the file again"
# What the generated reader raises on offsets that lead astray.
_ASTRAY = (
    struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError,
    RecursionError,
)  # fmt: skip


class _DamagedError(Exception):
    """The file contradicts itself or the format."""


def read(source: Path | bytes) -> Summary:
    """Returns what a file holds.

    Args:
        source: a path, or the file's content.

    Raises:
        UserError: no such file, or not a TFLite model: another format, cut off, damaged, or too large.
    """
    content = source if isinstance(source, bytes) else _content(source)
    where = "these bytes" if isinstance(source, bytes) else str(source)
    if len(content) > MAX_BYTES:
        raise UserError(f"{where}: {len(content):,} bytes; a TFLite file that is read here has at most {MAX_BYTES:,}")
    if content[4:8] != IDENTIFIER:
        raise UserError(f"{where}: not a TFLite model (the identifier TFL3 is missing)", _HINT)
    try:
        return _Reader(content).summary()
    except _DamagedError as error:
        raise UserError(f"{where}: not a readable TFLite model ({error})", _HINT) from error
    except _ASTRAY as error:
        reason = "its offsets lead outside of the file or to something else"
        raise UserError(f"{where}: not a readable TFLite model ({reason})", _HINT) from error


def constant(content: bytes, tensor: Tensor) -> np.ndarray:
    """Returns the numbers of a constant that is stored in full, read-only.

    Args:
        content: the file that `read` has described.
        tensor: of its summary, constant, not sparse, of whole bytes an element.

    Raises:
        ValueError: it is none.
    """
    from ai_edge_litert.schema_py_generated import Model

    if not tensor.is_constant or tensor.is_sparse or tensor.dtype in ("int2", "int4", "uint4", "bfloat16"):
        raise ValueError(f"{tensor.name} ({tensor.dtype}) is no constant that is stored in full")
    model = Model.GetRootAs(content, 0)
    index = model.Subgraphs(tensor.subgraph).Tensors(tensor.index).Buffer()
    return _data(model.Buffers(index), content).view(tensor.dtype).reshape(tensor.shape)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path}: no such file", "give a .tflite file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


class _Reader:
    """Walks one flatbuffer.

    Real lists do not share entries, so a file can list at most one entry for every four of its bytes; `_count` holds it
    to that. Damaged offsets that let many lists point at the same place then end soon.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._content = content
        self._entries_left = len(content) // 4
        self._has_outside = False
        self._buffer_bytes: list[int] = []
        self._buffer_of: dict[tuple[int, int], int] = {}
        self._tensors_of: list[int] = []
        self._model = schema.Model.GetRootAs(content, 0)
        self._dtypes = {
            value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")
        }
        self._builtin = {
            value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
        }

    def summary(self) -> Summary:
        """Returns the whole file's contents."""
        model = self._model
        _require(model.Version() == SCHEMA_VERSION, f"schema version {model.Version()}; expected {SCHEMA_VERSION}")
        self._buffer_bytes = [self._size(model.Buffers(i)) for i in self._count(model.BuffersLength())]
        codes = [self._code(model.OperatorCodes(i)) for i in self._count(model.OperatorCodesLength())]
        nodes: list[Node] = []
        tensors: list[Tensor] = []
        ends: list[tuple[list[Tensor], list[Tensor]]] = []
        _require(model.SubgraphsLength() > 0, "it has no subgraph")
        for place in self._count(model.SubgraphsLength()):
            graph = model.Subgraphs(place)
            own = [self._tensor(place, i, graph.Tensors(i)) for i in self._count(graph.TensorsLength())]
            self._tensors_of.append(len(own))
            nodes += [self._node(place, i, graph.Operators(i), codes) for i in self._count(graph.OperatorsLength())]
            sides = [self._indices(vector, place) for vector in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())]
            _require(all(index >= 0 for side in sides for index in side), "an input or output is missing")
            ends.append(([own[i] for i in sides[0]], [own[i] for i in sides[1]]))
            tensors += own
        metadata = dict(self._metadata())
        version = metadata.get(MIN_RUNTIME_VERSION)
        return Summary(
            operators=_operators(nodes),
            nodes=tuple(nodes),
            tensors=tuple(tensors),
            inputs=tuple(ends[0][0]),
            outputs=tuple(ends[0][1]),
            signatures=dict(self._signatures()),
            min_runtime_version=self._text_of_buffer(version) if version is not None else None,
            metadata=tuple(metadata),
            weight_bytes=self._weight_bytes(tensors),
            subgraphs=len(ends),
            description=_text(model.Description()),
            has_outside_constants=self._has_outside or model.ExternalBuffersLength() > 0,
            size_bytes=len(self._content),
        )

    def _count(self, length: int) -> range:
        self._entries_left -= length
        _require(self._entries_left >= 0, "it lists more than it has room for")
        return range(length)

    def _integers(self, found: Any) -> tuple[int, ...]:
        """Returns a vector of the reader, which answers 0 where there is none."""
        if isinstance(found, int):
            return ()
        self._count(len(found))
        return tuple(found.tolist())

    def _plain(self, value: Any) -> Any:
        return list(self._integers(value)) if isinstance(value, np.ndarray) else value

    def _size(self, buffer: Any) -> int:
        """Returns a buffer's bytes, inside of the flatbuffer or behind it."""
        if buffer.Offset() > 1:  # 0 and 1 say that the data is inside.
            self._has_outside = True
            _require(buffer.Offset() + buffer.Size() <= len(self._content), "a buffer ends behind the file")
            return buffer.Size()
        return 0 if buffer.DataIsNone() else len(buffer.DataAsNumpy())

    def _code(self, code: Any) -> tuple[str, int, bool]:
        # Files from before 2020 have the operator in a field of one byte; the larger of both is meant.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        _require(number in self._builtin, f"unknown operator {number}")
        if self._builtin[number] != "CUSTOM":
            return self._builtin[number], code.Version(), False
        name = _text(code.CustomCode())
        _require(bool(name), "a custom operator has no name")
        return name, code.Version(), True

    def _tensor(self, subgraph: int, index: int, tensor: Any) -> Tensor:
        dtype = self._dtypes.get(tensor.Type())
        if dtype is None:
            raise _DamagedError(f"unknown tensor type {tensor.Type()}")
        shape = self._integers(tensor.ShapeAsNumpy())
        _require(all(size >= 0 for size in shape), f"tensor {index} has a negative size")
        _require(0 <= tensor.Buffer() < len(self._buffer_bytes), f"tensor {index} names a buffer that is not there")
        size = self._buffer_bytes[tensor.Buffer()]
        found = Tensor(
            subgraph,
            index,
            _text(tensor.Name()),
            dtype,
            shape,
            self._integers(tensor.ShapeSignatureAsNumpy()) or shape,
            **_quantization(tensor.Quantization()),
            is_constant=size > 0 or bool(tensor.ExternalBuffer()),
            is_variable=bool(tensor.IsVariable()),
            is_sparse=tensor.Sparsity() is not None,
            constant_bytes=size,
        )
        bits = BITS[dtype]
        if size and bits and not found.is_sparse:
            expected = (found.elements * bits + 7) // 8
            _require(size == expected, f"tensor {found.name} has {size} bytes; its shape needs {expected}")
        self._buffer_of[subgraph, index] = tensor.Buffer()
        if dtype in ("int32", "int64") and 0 < size <= SMALL_BYTES and not found.is_quantized:
            found = dataclasses.replace(
                found, values=self._integers(_data(self._model.Buffers(tensor.Buffer()), self._content).view(dtype))
            )
        return found

    def _node(self, subgraph: int, index: int, operator: Any, codes: list[tuple[str, int, bool]]) -> Node:
        _require(operator.OpcodeIndex() < len(codes), f"operator {index} is of a kind that is not listed")
        name, version, custom = codes[operator.OpcodeIndex()]
        kind, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
        options = self._schema.BuiltinOptionsCreator(kind, table) if table is not None else None
        outputs = self._indices(operator.OutputsAsNumpy(), subgraph)
        _require(all(output >= 0 for output in outputs), f"operator {index} has no output")
        return Node(
            subgraph,
            index,
            name,
            version,
            custom,
            self._indices(operator.InputsAsNumpy(), subgraph),
            outputs,
            {field: self._plain(value) for field, value in vars(options).items()} if options is not None else {},
        )

    def _indices(self, found: Any, subgraph: int) -> tuple[int, ...]:
        indices = self._integers(found)
        count = self._tensors_of[subgraph]
        _require(all(-1 <= index < count for index in indices), "an index names a tensor that is not there")
        return indices

    def _metadata(self) -> Iterator[tuple[str, int]]:
        for i in self._count(self._model.MetadataLength()):
            entry = self._model.Metadata(i)
            _require(entry.Buffer() < len(self._buffer_bytes), "an entry of metadata names a buffer that is not there")
            yield _text(entry.Name()), entry.Buffer()

    def _text_of_buffer(self, index: int) -> str:
        data = _data(self._model.Buffers(index), self._content).tobytes() if self._buffer_bytes[index] else b""
        return data.rstrip(b"\0").decode("utf-8")

    def _signatures(self) -> Iterator[tuple[str, Signature]]:
        for i in self._count(self._model.SignatureDefsLength()):
            definition = self._model.SignatureDefs(i)
            place = definition.SubgraphIndex()
            _require(place < len(self._tensors_of), "a signature names a subgraph that is not there")
            inputs = [definition.Inputs(j) for j in self._count(definition.InputsLength())]
            outputs = [definition.Outputs(j) for j in self._count(definition.OutputsLength())]
            yield (
                _text(definition.SignatureKey()),
                Signature(place, self._names(inputs, place), self._names(outputs, place)),
            )

    def _names(self, maps: list[Any], subgraph: int) -> dict[str, int]:
        named = {_text(entry.Name()): entry.TensorIndex() for entry in maps}
        count = self._tensors_of[subgraph]
        _require(all(index < count for index in named.values()), "a signature names a tensor that is not there")
        return named

    def _weight_bytes(self, tensors: list[Tensor]) -> dict[str, int]:
        weights = [tensor for tensor in tensors if tensor.is_weight]
        buffers = {self._buffer_of[tensor.subgraph, tensor.index]: tensor for tensor in weights}
        sizes: collections.Counter[str] = collections.Counter()
        for tensor in buffers.values():
            sizes[tensor.dtype] += tensor.constant_bytes
        return dict(sorted(sizes.items()))


def _data(buffer: Any, content: bytes) -> np.ndarray:
    """Returns the bytes of a buffer that is not empty, inside of the flatbuffer or behind it."""
    if buffer.Offset() > 1:
        return np.frombuffer(content, np.uint8, buffer.Size(), buffer.Offset())
    return buffer.DataAsNumpy()


def _operators(nodes: list[Node]) -> tuple[Operator, ...]:
    counted = collections.Counter((node.op, node.version, node.custom) for node in nodes)
    return tuple(
        Operator(name, version, count, custom, custom and name.startswith("Flex"))
        for (name, version, custom), count in sorted(counted.items())
    )


def _quantization(parameters: Any) -> dict[str, Any]:
    scales = parameters.ScaleAsNumpy() if parameters is not None else 0
    if isinstance(scales, int) or not len(scales):
        return {"scales": 0, "scale": None, "zero_point": None}
    zero_points = parameters.ZeroPointAsNumpy()
    if len(scales) > 1:
        return {"scales": len(scales), "scale": None, "zero_point": None}
    zero_point = 0 if isinstance(zero_points, int) or not len(zero_points) else int(zero_points[0])
    return {"scales": 1, "scale": float(scales[0]), "zero_point": zero_point}


def _text(found: bytes | None) -> str:
    return "" if found is None else found.decode("utf-8")


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise _DamagedError(reason)
