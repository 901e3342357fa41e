"""Multiply-accumulates of an operator, by its shapes: a measure of work that is the same on every machine.

Counted as everywhere: a kernel's multiplications for each output element. What only adds, compares or moves counts 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tfday7.benchmarking.acceleration.operators import Operator

# Inputs of the fused LSTM that are matrices: four for the input, four for the state; of each direction.
LSTM_MATRICES = range(1, 9)
BIDIRECTIONAL_LSTM_MATRICES = (*range(1, 9), *range(18, 26))


def macs_of(operator: Operator) -> int | None:
    """Returns the multiply-accumulates of one run; None for a loop and in one, whose steps the file does not tell."""
    if operator.node.subgraph != 0 or operator.op in ("WHILE", "IF", "CALL", "CALL_ONCE"):
        return None
    count = _COUNTS.get(operator.op)
    return count(operator) if count else 0


def _shape(operator: Operator, at: int) -> tuple[int, ...]:
    tensor = operator.input(at)
    return tensor.shape if tensor is not None else ()


def _convolution(operator: Operator) -> int:
    return operator.outputs[0].elements * math.prod(_shape(operator, 1)[1:])  # [filters, height, width, channels]


def _depthwise(operator: Operator) -> int:
    return operator.outputs[0].elements * math.prod(_shape(operator, 1)[1:3])  # [1, height, width, channels]


def _transposed(operator: Operator) -> int:
    return math.prod(_shape(operator, 2)) * math.prod(_shape(operator, 1)[:3])  # Each input reaches so many outputs.


def _volume(operator: Operator) -> int:
    return operator.outputs[0].elements * math.prod(_shape(operator, 1)[:4])  # [..., channels, filters]


def _dense(operator: Operator) -> int:
    return operator.outputs[0].elements * _shape(operator, 1)[-1]


def _matrices(operator: Operator) -> int:
    return operator.outputs[0].elements * _shape(operator, 0)[-2 if operator.node.options.get("adjX") else -1]


def _recurrent(matrices: Sequence[int]) -> Callable[[Operator], int]:
    """Returns a count for layers whose matrices all apply once in every step of every example."""

    def count(operator: Operator) -> int:
        steps = math.prod(_shape(operator, 0)[:-1])  # Batch times steps, in either order.
        return steps * sum(math.prod(_shape(operator, at)) for at in matrices if len(_shape(operator, at)) == 2)

    return count


_COUNTS: dict[str, Callable[[Operator], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "CONV_3D": _volume,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _matrices,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent(LSTM_MATRICES),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _recurrent(BIDIRECTIONAL_LSTM_MATRICES),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent((1, 2)),
    "SVDF": _recurrent((1, 2)),
}
