"""TFLite's GPU delegate on a phone (OpenCL, OpenGL or Metal), by its documented rules.

It computes in float16 or float32; int8 files run, but as floating point: they get no faster than float16 ones. It takes
one part of the graph, the largest, because each handing over between GPU and CPU costs more than most operators; what
else it could take stays on the CPU.

Sources: "Supported ops" of https://ai.google.dev/edge/litert/performance/gpu, and the conditions in
tflite/tools/versioning/gpu_compatibility.cc; one part: `max_delegated_partitions` of the delegate's default options.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, OpVerdict, Remark, judgement
from tfday7.benchmarking.acceleration.operators import Operator, operators
from tfday7.benchmarking.acceleration.partitions import partitions
from tfday7.benchmarking.acceleration.rules import (
    first,
    needs_tflite,
    not_constant,
    open_size,
    option,
    unsupported,
    verdicts,
    wrong_activation,
)
from tfday7.exporting.tflite_contents import Summary, Tensor

TITLE = "GPU delegate"
MAX_RANK = 4

ELEMENTWISE = frozenset({
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "NEG", "PRELU",
    "RELU", "RELU6", "RELU_N1_TO_1", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH",
})  # fmt: skip
BINARY = frozenset({
    "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND",
    "MAXIMUM", "MINIMUM", "NOT_EQUAL", "POW", "SQUARED_DIFFERENCE", "SUB",
})  # fmt: skip
TAKEN = ELEMENTWISE | BINARY | {
    "ADD", "ADD_N", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CAST", "CONCATENATION", "CONV_2D", "CUMSUM", "DENSIFY",
    "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "EMBEDDING_LOOKUP", "FULLY_CONNECTED", "GATHER", "MAX_POOL_2D",
    "MEAN", "MIRROR_PAD", "MUL", "ONE_HOT", "PACK", "PAD", "PADV2", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN",
    "REDUCE_PROD", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SELECT", "SELECT_V2", "SLICE", "SOFTMAX",
    "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "SUM", "TILE", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip
TYPES = ("float32", "float16", "int8", "uint8")
# Inputs and outputs that may be integers or truth values beside them.
OTHER_TYPES = {
    "CAST": ("int32", "bool"), "EMBEDDING_LOOKUP": ("int32",), "EQUAL": ("bool",), "GATHER": ("int32",),
    "GREATER": ("bool",), "GREATER_EQUAL": ("bool",), "LESS": ("bool",), "LESS_EQUAL": ("bool",),
    "LOGICAL_AND": ("bool",), "NOT_EQUAL": ("bool",), "ONE_HOT": ("int32",), "SELECT": ("bool",),
    "SELECT_V2": ("bool",),
}  # fmt: skip
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")
AXES = ("CUMSUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM")
MASKS = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")


@TARGETS.register("gpu")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`."""
    summary = needs_tflite(path, summary, TITLE)
    found = verdicts(TITLE, summary, rule)
    notes = [Remark("note.rules", {"target": TITLE})]
    if any(tensor.dtype == "int8" and not tensor.is_constant for tensor in summary.tensors):
        notes.append(Remark("note.gpu_int8"))
    return judgement("gpu", _largest_part(summary, found), measured=False, notes=notes)


def rule(operator: Operator) -> Remark | None:
    """Returns why the GPU delegate does not take an operator; None when it does."""
    if operator.op not in TAKEN:
        return unsupported(operator, TITLE)
    check = _CHECKS.get(operator.op)
    return first(
        (
            _types(operator),
            open_size(operator, TITLE),
            _rank(operator),
            wrong_activation(operator, TITLE, FUSED),
            check(operator) if check else None,
        )
    )


def _largest_part(summary: Summary, found: list[OpVerdict]) -> list[OpVerdict]:
    """Returns the verdicts with all but the largest part of what could be taken put aside."""
    every = operators(summary)
    outer = [at for at, operator in enumerate(every) if operator.node.subgraph == 0]
    chosen = [every[at] for at in outer]
    parts = partitions(chosen, [found[at].reason is None for at in outer])
    if len(parts) < 2:
        return found
    largest = max(parts, key=len)
    aside = {outer[at] for part in parts if part is not largest for at in part}
    values = {"target": TITLE, "parts": len(parts)}
    return [
        dataclasses.replace(verdict, reason=Remark("reason.part", {**values, "op": verdict.op}))
        if at in aside
        else verdict
        for at, verdict in enumerate(found)
    ]


def _types(operator: Operator) -> Remark | None:
    allowed = (*TYPES, *OTHER_TYPES.get(operator.op, ()))
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if tensor.dtype not in allowed:
            values = {"op": operator.op, "tensor": tensor.name, "dtype": tensor.dtype, "target": TITLE}
            return Remark("reason.type", {**values, "types": ", ".join(allowed)})
    return None


def _rank(operator: Operator) -> Remark | None:
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if len(tensor.shape) > MAX_RANK:
            values = {"op": operator.op, "target": TITLE, "rank": len(tensor.shape), "limit": MAX_RANK}
            return Remark("reason.rank", values)
    return None


def _shapes(operator: Operator) -> Remark:
    shapes = " and ".join(str(list(tensor.shape)) for tensor in operator.inputs if tensor is not None)
    return Remark("reason.shapes", {"op": operator.op, "target": TITLE, "shapes": shapes})


def _two_inputs(operator: Operator) -> Remark | None:
    if len(operator.inputs) == 2:
        return _broadcast(operator)
    return Remark("reason.many_inputs", {"op": operator.op, "target": TITLE, "count": len(operator.inputs), "limit": 2})


def _broadcast(operator: Operator) -> Remark | None:
    """Of inputs of different rank, only a few pairs fit together on the GPU."""
    shapes = [tensor.shape for tensor in operator.inputs if tensor is not None]
    short, long = sorted(shapes, key=len)
    if len(short) == len(long) or len(short) < 2:
        return None
    picture = len(long) == 4 and (
        (len(short) == 3 and long[0] == 1)
        or (short == (1, 1) and long[0] == 1)
        or (len(short) == 2 and short == (long[0], long[3]))
    )
    return None if picture else _shapes(operator)


def _multiplication(operator: Operator) -> Remark | None:
    if why := _broadcast(operator):
        return why
    one, other = (tensor.shape for tensor in operator.inputs if tensor is not None)
    smaller = any(a < b for a, b in zip(one, other, strict=False))
    larger = any(a > b for a, b in zip(one, other, strict=False))
    return _shapes(operator) if len(one) == len(other) and smaller and larger else None


def _dense(operator: Operator) -> Remark | None:
    if operator.node.options.get("weightsFormat"):
        return option(operator, TITLE, f"weightsFormat={operator.node.options['weightsFormat']}")
    given, made = operator.input(0), operator.outputs[0]
    if operator.node.options.get("keepNumDims") and given is not None and len(given.shape) != len(made.shape):
        return option(operator, TITLE, "keepNumDims")
    return None


def _depthwise(operator: Operator) -> Remark | None:
    given, multiplier = operator.input(0), operator.node.options.get("depthMultiplier", 1)
    if multiplier != 1 and given is not None and given.shape[-1] != 1:
        return option(operator, TITLE, f"depthMultiplier={multiplier}")
    return None


def _gather(operator: Operator) -> Remark | None:
    table, indices = operator.input(0), operator.input(1)
    if indices is not None and (len(indices.shape) != 1 or indices.dtype != "int32"):
        return option(operator, TITLE, f"indices {indices.dtype}{list(indices.shape)}")
    return option(operator, TITLE, "int32 values") if table is not None and table.dtype == "int32" else None


def _softmax(operator: Operator) -> Remark | None:
    beta = operator.node.options.get("beta", 1.0)
    return option(operator, TITLE, f"beta={beta:g}") if beta != 1.0 else None


def _slice(operator: Operator) -> Remark | None:
    options, given = operator.node.options, operator.input(0)
    if used := [mask for mask in MASKS if options.get(mask)]:
        return option(operator, TITLE, f"{used[0]}={options[used[0]]}")
    rank = len(given.shape) if given is not None else 0
    return option(operator, TITLE, f"rank {rank}") if rank not in (3, 4) else None


def _block(operator: Operator) -> Remark | None:
    size = operator.node.options.get("blockSize", 2)
    return option(operator, TITLE, f"blockSize={size}") if size < 2 else None


def _padding(operator: Operator) -> Remark | None:
    amounts = operator.input(1)
    if amounts is None or amounts.shape not in ((3, 2), (4, 2)):
        return option(operator, TITLE, f"paddings {list(amounts.shape) if amounts else []}")
    return None


def _constant_axes(operator: Operator) -> Remark | None:
    return not_constant(operator, TITLE, (1,))


def _selection(operator: Operator) -> Remark | None:
    made = operator.outputs[0].shape
    fits = all(_fits(tensor, made) for tensor in operator.inputs[1:] if tensor is not None)
    return None if fits else _shapes(operator)


def _fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    return tensor.shape in ((), (1,), shape)


_CHECKS: dict[str, Callable[[Operator], Remark | None]] = {
    "ADD": _two_inputs,
    "ADD_N": _two_inputs,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _block,
    "FULLY_CONNECTED": _dense,
    "GATHER": _gather,
    "MIRROR_PAD": _padding,
    "MUL": _multiplication,
    "PAD": _padding,
    "PADV2": _padding,
    "SELECT": _selection,
    "SELECT_V2": _selection,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _block,
    "STRIDED_SLICE": _slice,
    **dict.fromkeys(AXES, _constant_axes),
}
