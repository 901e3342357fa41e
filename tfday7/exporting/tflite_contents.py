"""What is known of a `.tflite` file's contents; `tflite_file.read` fills it in."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

# Bits an element has; None where that is not fixed, as of text.
BITS: dict[str, int | None] = {
    "float16": 16, "bfloat16": 16, "float32": 32, "float64": 64, "complex64": 64, "complex128": 128,
    "float8_e4m3fn": 8, "float8_e5m2": 8, "int2": 2, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "uint4": 4, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "bool": 8,
    "string": None, "resource": None, "variant": None,
}  # fmt: skip
# From how many elements on a kernel or matrix of weights is stored as integers in a file of weights alone. Its
# description and the operator that unpacks it take some 200 bytes.
WEIGHT_MIN_ELEMENTS = 256
FLOATING = tuple(name for name in BITS if "float" in name or "complex" in name)


@dataclasses.dataclass(frozen=True)
class Operator:
    """One kind of operator and how often it occurs.

    Attributes:
        name: as in the schema, "CONV_2D", or the code of a custom one.
        version: of its semantics; a runtime knows versions up to some number.
        count: in all subgraphs.
        custom: not one of TFLite's own; the app has to bring it.
        flex: a custom one that TensorFlow itself computes, by the Flex delegate.
    """

    name: str
    version: int
    count: int
    custom: bool
    flex: bool


@dataclasses.dataclass(frozen=True)
class Node:
    """One operator in its place.

    Attributes:
        subgraph, index: where.
        op: as `Operator.name`.
        inputs, outputs: indices of tensors in its subgraph; -1 for an optional input that is not there.
        options: the fields of its options table; {} when it has none.
    """

    subgraph: int
    index: int
    op: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        subgraph, index: where.
        dtype: a key of `BITS`.
        shape: as it is stored; an open size is 1 here and -1 in `signature`.
        signature: the shape with -1 for sizes that are open; equal to `shape` when none is.
        scales: how many: 0 not quantized, 1 for the whole tensor, more for each slice along one axis.
        scale, zero_point: of a tensor that is quantized as a whole; else None.
        is_constant: the file holds its values, `constant_bytes` of them.
        is_variable: it keeps its values from one invocation to the next.
        is_sparse: its zeros are not stored.
        values: of a small integer constant that is not quantized (a shape, axes, strides), flat; else None.
    """

    subgraph: int
    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: int
    scale: float | None
    zero_point: int | None
    is_constant: bool
    is_variable: bool
    is_sparse: bool
    constant_bytes: int
    values: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        """How many numbers it holds; 1 for a scalar."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def is_quantized(self) -> bool:
        """Whether its numbers stand for real ones by a scale."""
        return self.scales > 0

    @property
    def is_per_tensor(self) -> bool:
        """Whether one scale serves all of it."""
        return self.scales == 1

    @property
    def is_per_channel(self) -> bool:
        """Whether each slice along an axis has its own scale."""
        return self.scales > 1

    @property
    def is_floating(self) -> bool:
        """Whether its numbers are floating point."""
        return self.dtype in FLOATING

    @property
    def is_weight(self) -> bool:
        """Whether it is a constant of a type that weights have, not a shape or an axis."""
        return self.is_constant and (self.is_floating or self.is_quantized)


@dataclasses.dataclass(frozen=True)
class Signature:
    """A named way in: the names of its inputs and outputs, each with the index of its tensor."""

    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Summary:
    """A whole file.

    Attributes:
        operators: sorted by name and version.
        nodes, tensors: of all subgraphs, in their order.
        inputs, outputs: of the first subgraph, which is the model.
        signatures: by key.
        min_runtime_version: the first release that runs it, "1.13.1" for example; None when the file does not say.
        metadata: names of the entries.
        weight_bytes: by dtype, each stored buffer once. Constants that are no weights (shapes, axes) are not in it.
        has_outside_constants: some lie behind the flatbuffer or in other files, at fixed places.
        size_bytes: of the file.
    """

    operators: tuple[Operator, ...]
    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    signatures: dict[str, Signature]
    min_runtime_version: str | None
    metadata: tuple[str, ...]
    weight_bytes: dict[str, int]
    subgraphs: int
    description: str
    has_outside_constants: bool
    size_bytes: int

    @property
    def is_stateful(self) -> bool:
        """Whether tensors keep values between invocations: whoever runs it has to reset them for each example."""
        return any(tensor.is_variable for tensor in self.tensors)

    @functools.cached_property
    def by_place(self) -> dict[tuple[int, int], Tensor]:
        """The tensors by subgraph and index."""
        return {(tensor.subgraph, tensor.index): tensor for tensor in self.tensors}

    def inputs_of(self, node: Node) -> list[Tensor | None]:
        """Returns the tensors that a node reads; None for an optional input that is not there."""
        return [self.by_place.get((node.subgraph, index)) for index in node.inputs]

    def outputs_of(self, node: Node) -> list[Tensor]:
        """Returns the tensors that a node writes."""
        return [self.by_place[node.subgraph, index] for index in node.outputs]


def channel_axis(op: str, rank: int) -> int:
    """Returns the axis of an operator's weights along which its output channels lie."""
    if op in ("DEPTHWISE_CONV_2D", "BATCH_MATMUL"):
        return rank - 1
    return rank - 1 if op == "CONV_3D" else 0
