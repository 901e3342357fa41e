"""XNNPACK, LiteRT's kernels for CPUs, on an ARM phone: by its documented rules, since no phone is at hand.

It takes float32 operators (float16 weights are unpacked once; on ARMv8.2 it may compute in float16), signed int8 ones,
and the four that have int8 weights beside float32 activations. What it does not take runs in TFLite's own kernels,
which are slower but never wrong. `xnnpack_here` asks the real one on this machine.

Sources: tflite/delegates/xnnpack/README.md of google-ai-edge/LiteRT; for what that page leaves out (GELU, reductions,
five inputs of a concatenation, int8 pooling) LiteRT 2.3's delegate itself, asked operator by operator.
"""

from __future__ import annotations

from pathlib import Path

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, Remark
from tfday7.benchmarking.acceleration.operators import Operator
from tfday7.benchmarking.acceleration.rules import (
    by_rule,
    first,
    needs_tflite,
    not_constant,
    open_size,
    option,
    unsupported,
    wrong_activation,
    wrong_type,
)
from tfday7.exporting.tflite_contents import Summary

TITLE = "XNNPACK"

INT8 = frozenset({
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "ELU", "FULLY_CONNECTED",
    "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE",
    "RESIZE_BILINEAR", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE",
    "TRANSPOSE_CONV",
})  # fmt: skip
FLOAT = INT8 | {
    "ABS", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CEIL", "COS", "DIV", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LOG",
    "MAXIMUM", "MINIMUM", "NEG", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SOFTMAX", "SQRT",
    "SQUARE", "SQUARED_DIFFERENCE",
}  # fmt: skip
DYNAMIC_RANGE = ("BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
MOST_INPUTS = {"CONCATENATION": 5}
MOST_OUTPUTS = {"SPLIT": 4}
# Which inputs of an operator have to be constant.
CONSTANT = {
    "CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "FULLY_CONNECTED": (1, 2), "MEAN": (1,), "PAD": (1,), "PRELU": (1,),
    "REDUCE_MAX": (1,), "REDUCE_MIN": (1,), "RESHAPE": (1,), "RESIZE_BILINEAR": (1,), "SLICE": (1, 2),
    "STRIDED_SLICE": (1, 2, 3), "SUM": (1,), "TRANSPOSE": (1,), "TRANSPOSE_CONV": (0, 1, 3),
}  # fmt: skip
MASKS = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")


@TARGETS.register("xnnpack")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`."""
    summary = needs_tflite(path, summary, TITLE)
    return by_rule("xnnpack", TITLE, summary, rule, [Remark("note.xnnpack")], in_loops=True)


def rule(operator: Operator) -> Remark | None:
    """Returns why XNNPACK does not take an operator; None when it does."""
    if operator.op not in FLOAT:
        return unsupported(operator, TITLE)
    return first(
        (
            _types(operator),
            open_size(operator, TITLE),
            not_constant(operator, TITLE, CONSTANT.get(operator.op, ())),
            wrong_activation(operator, TITLE, FUSED),
            _options(operator),
        )
    )


def _types(operator: Operator) -> Remark | None:
    if operator.op == "DEQUANTIZE" and operator.is_constant(0):
        return None  # Float16 weights: unpacked once, when the file is loaded.
    if operator.op in CONVERSIONS:
        return wrong_type(operator, TITLE, ("float32", "int8"))
    if any(tensor.dtype == "int8" for tensor in (*operator.runtime_inputs, *operator.outputs)):
        if operator.op not in INT8:
            return Remark("reason.operator_int8", {"op": operator.op, "target": TITLE})
        return wrong_type(operator, TITLE, ("int8",))
    weights = operator.input(1)
    if weights is not None and weights.is_constant and weights.dtype == "int8" and operator.op not in DYNAMIC_RANGE:
        return Remark("reason.dynamic_range", {"op": operator.op, "target": TITLE})
    return wrong_type(operator, TITLE, ("float32",))


def _options(operator: Operator) -> Remark | None:
    options, op = operator.node.options, operator.op
    if len(operator.inputs) > MOST_INPUTS.get(op, len(operator.inputs)):
        values = {"op": op, "target": TITLE, "count": len(operator.inputs), "limit": MOST_INPUTS[op]}
        return Remark("reason.many_inputs", values)
    if len(operator.outputs) > MOST_OUTPUTS.get(op, len(operator.outputs)):
        values = {"op": op, "target": TITLE, "count": len(operator.outputs), "limit": MOST_OUTPUTS[op]}
        return Remark("reason.many_outputs", values)
    if op == "STRIDED_SLICE" and (used := [mask for mask in MASKS if options.get(mask)]):
        return option(operator, TITLE, f"{used[0]}={options[used[0]]}")
    if op == "STRIDED_SLICE" and _skips(operator):
        return option(operator, TITLE, "strides != 1")
    if op == "SOFTMAX" and options.get("beta", 1.0) != 1.0:
        return option(operator, TITLE, f"beta={options['beta']:g}")
    if op in ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH") and options.get("blockSize", 2) < 2:
        return option(operator, TITLE, f"blockSize={options['blockSize']}")
    if op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        kernel, strides = (options["filterHeight"], options["filterWidth"]), (options["strideH"], options["strideW"])
        if kernel == (1, 1) and strides != (1, 1):
            return option(operator, TITLE, f"kernel={kernel}, strides={strides}")
    return None


def _skips(operator: Operator) -> bool:
    """Returns whether a slice steps over elements, or backwards."""
    strides = operator.input(3)
    return strides is None or strides.values is None or any(stride != 1 for stride in strides.values)
