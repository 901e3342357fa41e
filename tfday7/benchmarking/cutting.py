"""Cuts one operator out of a `.tflite` file into a file of its own, with its constants, so that it can run alone.

LiteRT's Python package has no profiler, and tells of delegation at the outermost level only; both can be asked of one
operator alone. Weights that the file unpacks first (float16, sparse) stay with the operator that uses them: a
convolution whose weights were an input would be another operator.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # Of constants, as kernels expect it.
UNPACKING = ("DEQUANTIZE", "DENSIFY")
CONTROL = ("WHILE", "IF", "CALL_ONCE")
FLEX = "Flex"


class CutError(Exception):
    """An operator that cannot run alone.

    Args:
        reason: "custom", "constant" or "state".
        detail: what exactly, English.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Cut:
    """An operator in a file of its own.

    Attributes:
        content: the file.
        inputs, outputs: which tensors of its subgraph in the whole file the file's inputs and outputs are.
    """

    content: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def cut(content: bytes, subgraph: int, index: int) -> Cut:
    """Returns one operator of a file. Raises CutError when it cannot run alone."""
    return Cutter(content).cut(subgraph, index)


class Cutter:
    """A file from which operators are cut.

    Args:
        content: a file that `tflite_file.read` has accepted.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        self._names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}

    def cut(self, subgraph: int, index: int, shapes: Mapping[int, Sequence[int]] | None = None) -> Cut:
        """Returns one operator.

        Args:
            subgraph, index: where it is.
            shapes: of its tensors by index, where they differ from the file's, as in a larger batch.

        Raises:
            CutError: it cannot run alone.
        """
        graph = self._model.subgraphs[subgraph]
        operator = graph.operators[index]
        name = self._name(operator)
        if name == "CUSTOM":
            raise CutError("custom", str(self._code(operator).customCode, "utf-8"))
        unpacking = [] if name in UNPACKING else self._unpacking(graph, operator)
        nodes = [*unpacking, operator]
        made = {int(tensor) for node in unpacking for tensor in node.outputs}
        inputs = [at for at in dict.fromkeys(_indices(operator.inputs)) if at not in made and self._is_fed(graph, at)]
        if not inputs:
            raise CutError("constant", f"{name} reads constants alone")
        outputs = _indices(operator.outputs)
        build = self._with_subgraphs if name in CONTROL else self._alone
        return Cut(build(graph, nodes, inputs, outputs, shapes or {}), tuple(inputs), tuple(outputs))

    def _unpacking(self, graph: Any, operator: Any) -> list[Any]:
        """Returns the nodes that unpack an operator's constants."""
        wanted = set(_indices(operator.inputs))
        return [
            node
            for node in graph.operators
            if self._name(node) in UNPACKING
            and wanted & set(_indices(node.outputs))
            and all(self._is_constant(graph, at) for at in _indices(node.inputs))
        ]

    def _alone(
        self,
        graph: Any,
        nodes: Sequence[Any],
        inputs: Sequence[int],
        outputs: Sequence[int],
        shapes: Mapping[int, Sequence[int]],
    ) -> bytes:
        used = dict.fromkeys(at for node in nodes for at in _all_indices(node))
        places = {at: place for place, at in enumerate(used)} | {-1: -1}
        buffers, tensors = [self._schema.BufferT()], []
        for at in used:
            tensor = _with_shape(graph.tensors[at], shapes.get(at))
            tensor.buffer = len(buffers) if self._is_constant(graph, at) else 0
            if tensor.buffer:
                buffers.append(self._model.buffers[graph.tensors[at].buffer])
            tensors.append(tensor)
        codes, moved = [], []
        for node in nodes:
            node = copy.copy(node)
            codes.append(self._code(node))
            node.opcodeIndex = len(codes) - 1
            for field in ("inputs", "outputs", "intermediates"):
                found = getattr(node, field)
                if found is not None:
                    setattr(node, field, [places[int(at)] for at in found])
            moved.append(node)
        ends = ([places[at] for at in inputs], [places[at] for at in outputs])
        part = self._schema.SubGraphT(tensors, *ends, moved, b"main")
        return self._pack([part], codes, buffers)

    def _with_subgraphs(
        self,
        graph: Any,
        nodes: Sequence[Any],
        inputs: Sequence[int],
        outputs: Sequence[int],
        shapes: Mapping[int, Sequence[int]],
    ) -> bytes:
        """Returns a loop or a branch with all that it may call."""
        part = copy.copy(graph)
        part.tensors = [_with_shape(tensor, shapes.get(at)) for at, tensor in enumerate(graph.tensors)]
        part.operators, part.inputs, part.outputs = list(nodes), list(inputs), list(outputs)
        others = [part if other is graph else other for other in self._model.subgraphs]
        return self._pack(others, self._model.operatorCodes, self._model.buffers)

    def _pack(self, subgraphs: Sequence[Any], codes: Sequence[Any], buffers: Sequence[Any]) -> bytes:
        import flatbuffers

        aligned = [_Aligned(self._schema, buffer) for buffer in buffers]
        model = self._schema.ModelT(self._model.version, list(codes), list(subgraphs), b"", aligned)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _code(self, operator: Any) -> Any:
        return self._model.operatorCodes[operator.opcodeIndex]

    def _name(self, operator: Any) -> str:
        code = self._code(operator)
        return self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _is_constant(self, graph: Any, at: int) -> bool:
        data = self._model.buffers[graph.tensors[at].buffer].data
        return data is not None and len(data) > 0

    def _is_fed(self, graph: Any, at: int) -> bool:
        tensor = graph.tensors[at]
        # The fused LSTM names tensors without elements; nothing can be fed to them.
        empty = tensor.shape is not None and 0 in tensor.shape
        return not self._is_constant(graph, at) and not tensor.isVariable and not empty


class _Aligned:
    """A buffer that packs its data at a multiple of 16 bytes; the generated class takes any multiple of 4."""

    def __init__(self, schema: Any, buffer: Any) -> None:
        self._schema = schema
        self._data = b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the name that the generated classes call)
        """Adds the buffer; see flatbuffers' object API."""
        data = None
        if self._data:
            builder.Prep(ALIGNMENT, len(self._data))
            data = builder.CreateByteVector(self._data)
        self._schema.BufferStart(builder)
        if data is not None:
            self._schema.BufferAddData(builder, data)
        return self._schema.BufferEnd(builder)


def _with_shape(tensor: Any, shape: Sequence[int] | None) -> Any:
    moved = copy.copy(tensor)
    if shape is not None:
        moved.shape, moved.shapeSignature = [int(size) for size in shape], None
    return moved


def _indices(found: Any) -> list[int]:
    """Returns indices of tensors without -1, which stands for an optional one that is not there."""
    return [] if found is None else [int(at) for at in found if at >= 0]


def _all_indices(node: Any) -> list[int]:
    return [*_indices(node.inputs), *_indices(node.outputs), *_indices(node.intermediates)]
