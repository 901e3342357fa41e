"""What accelerators for int8 have in common: int8 from end to end, every size known, weights in the file."""

from __future__ import annotations

from collections.abc import Collection

from tfday7.benchmarking.acceleration.judgement import Remark
from tfday7.benchmarking.acceleration.operators import Operator
from tfday7.benchmarking.acceleration.rules import open_size, unsupported

# Integers that are no quantized numbers: token ids and indices, which some operators read or give.
INDICES = {"ARG_MAX": ("int32",), "ARG_MIN": ("int32",), "GATHER": ("int32",), "TOPK_V2": ("int32",)}
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def int8_rule(operator: Operator, title: str, taken: Collection[str], float_only: Collection[str]) -> Remark | None:
    """Returns why an int8 accelerator does not take an operator, before its own conditions.

    Args:
        operator: not a custom one.
        title: the target's name in sentences.
        taken: what it has in int8.
        float_only: what it has, but not in int8.
    """
    # What a recurrent layer keeps from step to step is finer, int16.
    allowed = ("int8", *INDICES.get(operator.op, ()))
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if tensor.dtype not in allowed and tensor.elements and not tensor.is_variable:
            values = {"op": operator.op, "tensor": tensor.name, "dtype": tensor.dtype, "target": title}
            return Remark("reason.not_int8", values)
    if operator.op in float_only:
        return Remark("reason.operator_int8", {"op": operator.op, "target": title})
    if operator.op not in taken:
        return unsupported(operator, title)
    weights = operator.input(1) if operator.op in WEIGHTED else None
    if operator.op == "FULLY_CONNECTED" and weights is not None and weights.is_per_channel:
        return Remark("reason.per_channel", {"op": operator.op, "tensor": weights.name, "target": title})
    if weights is not None and not weights.is_constant:
        return Remark("reason.not_constant", {"op": operator.op, "tensor": weights.name, "target": title})
    return open_size(operator, title)
