"""Google's Edge TPU (Coral), by its documented rules. Its compiler takes the first part of the graph, then stops.

What comes after the first operator that it does not take stays on the CPU, even where it would be supported.

Source: "Supported operations" of https://coral.ai/docs/edgetpu/models-intro/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tfday7.benchmarking.acceleration.int8_rules import int8_rule
from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, OpVerdict, Remark, judgement
from tfday7.benchmarking.acceleration.operators import Operator, operators
from tfday7.benchmarking.acceleration.rules import first, needs_tflite, option, verdicts, wrong_activation
from tfday7.exporting.tflite_contents import Summary

TITLE = "Edge TPU"
INT8 = frozenset({
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED",
    "L2_NORMALIZATION", "LOGISTIC", "LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD", "PRELU",
    "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQUARED_DIFFERENCE", "SQUEEZE",
    "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM",
})  # fmt: skip
PLAIN = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
FUSED = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D"), ("NONE",)),
    **dict.fromkeys(("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"), ("TANH",)),
}
BATCH_REDUCTIONS = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM")
SOFTMAX_ELEMENTS = 16_000
MAX_RANK = 3  # Of what is larger than 1; the batch is 1.


@TARGETS.register("edgetpu")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`."""
    summary = needs_tflite(path, summary, TITLE)
    found = _until_the_first_stop(summary, verdicts(TITLE, summary, rule))
    return judgement("edgetpu", found, measured=False, notes=[Remark("note.rules", {"target": TITLE})])


def rule(operator: Operator) -> Remark | None:
    """Returns why the Edge TPU does not take an operator; None when it does."""
    check = _CHECKS.get(operator.op)
    return first(
        (
            int8_rule(operator, TITLE, INT8, ()),
            _rank(operator),
            wrong_activation(operator, TITLE, FUSED.get(operator.op, PLAIN)),
            check(operator) if check else None,
        )
    )


def _until_the_first_stop(summary: Summary, found: list[OpVerdict]) -> list[OpVerdict]:
    """Returns the verdicts with everything that depends on a refused operator refused as well."""
    stopped: set[tuple[int, int]] = set()
    result = []
    for operator, verdict in zip(operators(summary), found, strict=True):
        behind = any((tensor.subgraph, tensor.index) in stopped for tensor in operator.runtime_inputs)
        if verdict.reason is None and behind:
            verdict = dataclasses.replace(verdict, reason=Remark("reason.behind", {"op": operator.op, "target": TITLE}))
        if verdict.reason is not None:
            stopped |= {(tensor.subgraph, tensor.index) for tensor in operator.outputs}
        result.append(verdict)
    return result


def _rank(operator: Operator) -> Remark | None:
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if len(tensor.shape) > MAX_RANK and any(size != 1 for size in tensor.shape[:-MAX_RANK]):
            values = {"op": operator.op, "target": TITLE, "rank": len(tensor.shape), "limit": MAX_RANK}
            return Remark("reason.rank", values)
    return None


def _dilation(operator: Operator) -> Remark | None:
    options = operator.node.options
    height, width = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
    return option(operator, TITLE, f"dilation {height}x{width}") if height != width else None


def _dense(operator: Operator) -> Remark | None:
    made = operator.outputs[0]
    if sum(size > 1 for size in made.shape) > 1:
        return option(operator, TITLE, f"output {list(made.shape)}")
    weights_format = operator.node.options.get("weightsFormat")
    return option(operator, TITLE, f"weightsFormat={weights_format}") if weights_format else None


def _batch(operator: Operator) -> Remark | None:
    axes, given = operator.input(1), operator.input(0)
    if axes is None or axes.values is None or given is None:
        return option(operator, TITLE, "computed axes")
    reduced = any(axis % max(len(given.shape), 1) == 0 for axis in axes.values)
    return option(operator, TITLE, f"axes {list(axes.values)}") if reduced and given.shape[0] != 1 else None


def _padding(operator: Operator) -> Remark | None:
    amounts = operator.input(1)
    if amounts is None or amounts.values is None or any(amounts.values[:2]):
        return option(operator, TITLE, "padding of the batch")
    return None


def _softmax(operator: Operator) -> Remark | None:
    made = operator.outputs[0]
    if sum(size > 1 for size in made.shape) > 1 or made.elements > SOFTMAX_ELEMENTS:
        return option(operator, TITLE, f"output {list(made.shape)}")
    return None


def _slice(operator: Operator) -> Remark | None:
    options, strides = operator.node.options, operator.input(3)
    if used := [mask for mask in ("ellipsisMask", "newAxisMask") if options.get(mask)]:
        return option(operator, TITLE, f"{used[0]}={options[used[0]]}")
    if strides is None or strides.values is None or any(stride != 1 for stride in strides.values):
        return option(operator, TITLE, "strides != 1")
    return None


_CHECKS: dict[str, Callable[[Operator], Remark | None]] = {
    "CONV_2D": _dilation,
    "DEPTHWISE_CONV_2D": _dilation,
    "FULLY_CONNECTED": _dense,
    "PAD": _padding,
    "SOFTMAX": _softmax,
    "STRIDED_SLICE": _slice,
    **dict.fromkeys(BATCH_REDUCTIONS, _batch),
}
