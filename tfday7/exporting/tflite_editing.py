"""Changes a `.tflite` file: takes it apart, lets constants be stored in another way, and puts it together again.

A constant that an operator reads is replaced by one of another form and an operator in front that unpacks it,
DEQUANTIZE or DENSIFY; the runtime does that once, when it loads the file. Constants start at multiples of
16 bytes, as the converter writes them: the generated classes alone would leave them at multiples of 4.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting import tflite_file

ALIGNMENT = 16
NUMPY_TYPES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "int16": np.int16, "int32": np.int32}


class Editor:
    """A file, taken apart.

    Args:
        content: a `.tflite` file.

    Raises:
        UserError: it is none, or keeps constants outside of its flatbuffer.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.summary = tflite_file.read(content)
        if self.summary.has_outside_constants:
            raise UserError(
                "the file keeps constants outside of its flatbuffer, at fixed places; they cannot be changed"
            )
        self.model = schema.ModelT.InitFromPackedBuf(content)
        self._names = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
        self._uses: dict[int, int] = {}
        for graph in self.model.subgraphs:
            for tensor in graph.tensors:
                self._uses[tensor.buffer] = self._uses.get(tensor.buffer, 0) + 1

    def constants(self) -> list[tuple[int, int, Any, list[Any]]]:
        """Returns (subgraph, index, tensor, operators that read it) of the constants that operators read."""
        found = []
        for place, graph in enumerate(self.model.subgraphs):
            readers: dict[int, list[Any]] = {}
            for operator in graph.operators or []:
                for index in {int(index) for index in self._list(operator.inputs)}:
                    readers.setdefault(index, []).append(operator)
            ends = {*self._list(graph.inputs), *self._list(graph.outputs)}
            for index, tensor in enumerate(graph.tensors):
                if self.model.buffers[tensor.buffer].data is not None and index in readers and index not in ends:
                    found.append((place, index, tensor, readers[index]))
        return found

    def operator_name(self, operator: Any) -> str:
        """Returns an operator's name, as of the schema."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return next(name for name, value in vars(self.schema.BuiltinOperator).items() if value == number)

    def dtype(self, tensor: Any) -> str:
        """Returns a tensor's type, "float32" for example."""
        return self._names[tensor.type].lower()

    def values(self, tensor: Any) -> np.ndarray:
        """Returns a constant of whole bytes an element, in its shape."""
        data = np.ascontiguousarray(self.model.buffers[tensor.buffer].data, np.uint8)
        return data.view(NUMPY_TYPES[self.dtype(tensor)]).reshape(self.shape(tensor))

    def shape(self, tensor: Any) -> tuple[int, ...]:
        """Returns a tensor's shape."""
        return tuple(int(size) for size in self._list(tensor.shape))

    def unpack_by(self, place: int, index: int, operator: str, version: int, data: bytes) -> tuple[Any, Any]:
        """Stores a constant in another way, with an operator in front of whoever reads it.

        Args:
            place, index: of the constant.
            operator, version: what unpacks it.
            data: its new bytes.

        Returns:
            The constant, whose type and form are the caller's to change, and the tensor that is now read in its place.
        """
        graph = self.model.subgraphs[place]
        stored = graph.tensors[index]
        unpacked = copy.copy(stored)
        self._uses[stored.buffer] -= 1
        if not self._uses[stored.buffer]:
            self.model.buffers[stored.buffer].data = None
        unpacked.buffer, unpacked.name = 0, self._text(stored.name) + "/unpacked"
        stored.buffer = self._add_buffer(data)
        graph.tensors.append(unpacked)
        for reader in graph.operators:
            inputs = np.array(self._list(reader.inputs), np.int32)
            reader.inputs = np.where(inputs == index, len(graph.tensors) - 1, inputs).astype(np.int32)
        made = self.schema.OperatorT()
        made.opcodeIndex = self._code(operator, version)
        made.inputs, made.outputs = np.array([index], np.int32), np.array([len(graph.tensors) - 1], np.int32)
        graph.operators.insert(0, made)
        return stored, unpacked

    def set_runtime_version(self, version: str | None) -> None:
        """Says from which release on the file can be run; None for not known."""
        name = tflite_file.MIN_RUNTIME_VERSION
        entries = list(self.model.metadata or [])
        mine = [entry for entry in entries if self._text(entry.name) == name]
        if version is None:
            self.model.metadata = [entry for entry in entries if entry not in mine]
        for entry in mine if version else []:
            self.model.buffers[entry.buffer].data = np.frombuffer(str(version).encode().ljust(16, b"\0"), np.uint8)

    def content(self) -> bytes:
        """Returns the file as it is now."""
        import flatbuffers

        model = copy.copy(self.model)
        model.buffers = [_Buffer(buffer) for buffer in self.model.buffers]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), tflite_file.IDENTIFIER)
        return bytes(builder.Output())

    def _add_buffer(self, data: bytes) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        index = len(self.model.buffers) - 1
        self._uses[index] = 1
        return index

    def _code(self, operator: str, version: int) -> int:
        number = getattr(self.schema.BuiltinOperator, operator)
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    @staticmethod
    def _list(values: Any) -> list[int]:
        return [] if values is None else [int(value) for value in values]

    @staticmethod
    def _text(name: Any) -> str:
        return name.decode("utf-8") if isinstance(name, bytes) else str(name or "")


class _Buffer:
    """A constant that packs itself to a multiple of 16 bytes."""

    def __init__(self, buffer: Any) -> None:
        self._data = buffer.data

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the generated classes call it so.
        """Writes the buffer's table and returns where it is."""
        data = None
        if self._data is not None and len(self._data):
            content = np.ascontiguousarray(self._data, np.uint8).tobytes()
            builder.Prep(ALIGNMENT, len(content))
            data = builder.CreateByteVector(content)
        builder.StartObject(3)
        if data is not None:
            builder.PrependUOffsetTRelativeSlot(0, data, 0)
        return builder.EndObject()
