"""An int8 accelerator (NPU, DSP) behind Android's NNAPI delegate, by its documented rules, as of Android 11.

Each driver takes less than the interface allows; what is refused here, none takes. Android 15 has deprecated NNAPI:
vendors' own delegates follow it, and much the same rules.

Sources: `NNAPIDelegateKernel::Validate`, tflite/delegates/nnapi/nnapi_delegate.cc; the types of each operation with
TENSOR_QUANT8_ASYMM_SIGNED in the NDK reference, https://developer.android.com/ndk/reference/group/neural-networks.
"""

from __future__ import annotations

from pathlib import Path

from tfday7.benchmarking.acceleration.int8_rules import int8_rule
from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, Remark
from tfday7.benchmarking.acceleration.operators import Operator
from tfday7.benchmarking.acceleration.rules import by_rule, first, needs_tflite, not_constant, option, wrong_activation
from tfday7.exporting.tflite_contents import Summary

TITLE = "NNAPI"
INT8 = frozenset({
    "ADD", "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "CONCATENATION", "CONV_2D",
    "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "EXPAND_DIMS", "FULLY_CONNECTED", "GATHER", "HARD_SWISH", "L2_NORMALIZATION",
    "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD", "PADV2", "PRELU",
    "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "SELECT", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
    "SQUEEZE", "STRIDED_SLICE", "SUB", "TANH", "TILE", "TOPK_V2", "TRANSPOSE", "TRANSPOSE_CONV",
})  # fmt: skip
FLOAT_ONLY = frozenset({
    "ABS", "DIV", "ELU", "EMBEDDING_LOOKUP", "EXP", "FLOOR", "L2_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION", "LOG",
    "LOG_SOFTMAX", "LSTM", "NEG", "POW", "RNN", "RSQRT", "SIN", "SQRT", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM",
})  # fmt: skip
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
# Which inputs have to be constant, beside the weights.
CONSTANT = {"RESHAPE": (1,), "RESIZE_BILINEAR": (1,), "RESIZE_NEAREST_NEIGHBOR": (1,), "TRANSPOSE": (1,), "SPLIT": (0,)}
MAX_RANK = {"CONCATENATION": 4, "SOFTMAX": 4, "SUB": 4}


@TARGETS.register("nnapi")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`."""
    summary = needs_tflite(path, summary, TITLE)
    return by_rule("nnapi", TITLE, summary, rule, [Remark("note.rules", {"target": TITLE}), Remark("note.nnapi")])


def rule(operator: Operator) -> Remark | None:
    """Returns why NNAPI does not take an operator in int8; None when it does."""
    return first(
        (
            int8_rule(operator, TITLE, INT8, FLOAT_ONLY),
            not_constant(operator, TITLE, CONSTANT.get(operator.op, ())),
            wrong_activation(operator, TITLE, ("NONE",) if operator.op == "CONCATENATION" else FUSED),
            _shape(operator),
        )
    )


def _shape(operator: Operator) -> Remark | None:
    if operator.op == "MEAN" and not operator.outputs[0].shape:
        return option(operator, TITLE, "a scalar output")
    limit = MAX_RANK.get(operator.op)
    for tensor in operator.runtime_inputs if limit else ():
        if limit and len(tensor.shape) > limit:
            values = {"op": operator.op, "target": TITLE, "rank": len(tensor.shape), "limit": limit}
            return Remark("reason.rank", values)
    return None
