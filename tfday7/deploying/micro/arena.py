"""How much memory a model takes while it runs, guessed from the file where it could not be measured.

TFLite Micro plans one block of memory, the arena: activations share it as their lifetimes allow; tensors' and
operators' own records, variables and scratch buffers lie at its other end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tfday7.exporting.tflite_contents import BITS, Node, Summary, Tensor

ALIGNMENT = 16
# Beside the activations: on the models of the tests TFLite Micro needs less than this on a 64-bit machine, and pointers
# of a microcontroller have half the size. A guess all the same: each kernel asks for what it likes.
BYTES_A_TENSOR, BYTES_AN_OPERATOR, BYTES_FIXED = 64, 256, 2048
# Kernels that are optimized for a processor (CMSIS-NN, ESP-NN) take scratch buffers that the measured ones do not.
MARGIN_SHARE, MARGIN_BYTES = 1 / 8, 1024


def estimate(summary: Summary) -> int:
    """Returns a guess at the arena's size in bytes, a multiple of 16."""
    variables = sum(_bytes(tensor) for tensor in summary.tensors if tensor.is_variable)
    own = BYTES_A_TENSOR * len(summary.tensors) + BYTES_AN_OPERATOR * len(summary.nodes) + BYTES_FIXED
    return rounded(live_bytes(summary) + variables + own)


def live_bytes(summary: Summary) -> int:
    """Returns the size of the activations that live at once where they take most, each rounded up to 16 bytes.

    A tensor lives from the operator that writes it to the last that reads it; an input of the model from the start, an
    output to the end. Bodies of loops and branches are added whole, as they may run while the model's own tensors live.
    """
    return sum(_live_bytes(summary, subgraph) for subgraph in range(summary.subgraphs))


def with_margin(measured_bytes: int) -> int:
    """Returns an arena's size to start with, for what was measured with the reference kernels."""
    return rounded(measured_bytes + max(MARGIN_BYTES, math.ceil(measured_bytes * MARGIN_SHARE)))


def rounded(size_bytes: int) -> int:
    """Returns the next multiple of 16."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def _live_bytes(summary: Summary, subgraph: int) -> int:
    nodes = [node for node in summary.nodes if node.subgraph == subgraph]
    last = len(nodes)
    tensors = [t for t in summary.tensors if t.subgraph == subgraph and not t.is_constant and not t.is_variable]
    spans = [(_bytes(tensor), *_lifetime(tensor, nodes, summary, last)) for tensor in tensors]
    return max(
        (sum(size for size, first, end in spans if first <= place <= end) for place in range(last + 1)), default=0
    )


def _lifetime(tensor: Tensor, nodes: list[Node], summary: Summary, last: int) -> tuple[int, int]:
    """Returns the first and the last operator, counted from 0, during which a tensor lives."""
    written = _places(nodes, (node.outputs for node in nodes), tensor.index)
    read = _places(nodes, (node.inputs for node in nodes), tensor.index)
    is_end = tensor.subgraph > 0 and not read
    is_output = is_end or any(tensor.index == output.index for output in summary.outputs if tensor.subgraph == 0)
    return min(written, default=0), last if is_output else max([*read, *written], default=0)


def _places(nodes: list[Node], sides: Iterable[tuple[int, ...]], index: int) -> list[int]:
    return [place for place, side in zip(range(len(nodes)), sides, strict=True) if index in side]


def _bytes(tensor: Tensor) -> int:
    return rounded(tensor.elements * (BITS[tensor.dtype] or 0) // 8)
