"""XNNPACK's sparse kernels on ARM: what weights of zeros have to look like before they save time, not bytes alone.

They are for convolutional networks with floating-point weights: a 3x3 stem of stride 2 on three channels, 1x1
convolutions of which more than two thirds are zeros, stored as sparse tensors, depthwise convolutions between them, and
a mean over the picture at the end. x86 has no such kernels where it has AVX, and int8 has them nowhere: there zeros
save bytes, not time. Only the 1x1 convolutions get faster; what lies between them merely may stay.

Source: "Sparse Inference", tflite/delegates/xnnpack/README.md of google-ai-edge/LiteRT; Elsen et al., 2019, "Fast
Sparse ConvNets", arXiv:1911.09723.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, Remark, judgement
from tfday7.benchmarking.acceleration.operators import UNPACKING, Operator, operators
from tfday7.benchmarking.acceleration.rules import needs_tflite, reason, verdict
from tfday7.exporting.tflite_contents import Summary, Tensor
from tfday7.exporting.tflite_file import constant

TITLE = "XNNPACK"
LEAST_ZEROS = 2 / 3
UNARY = (
    "ABS", "CEIL", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6", "RELU_N1_TO_1",
    "ROUND", "SQUARE",
)  # fmt: skip
BETWEEN = ("ADD", "DEPTHWISE_CONV_2D", "MEAN", "MUL", "RESIZE_BILINEAR", *UNARY)
ENDS = ("MEAN", "DEPTH_TO_SPACE")
SAME = 0


@TARGETS.register("sparse")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`."""
    summary = needs_tflite(path, summary, TITLE)
    every = operators(summary)
    zeros = _zeros(path.read_bytes(), every)
    whole = _whole(every, zeros)
    verdicts = [
        verdict(operator, reason(operator, TITLE, lambda one: whole or _why(one, zeros, every))) for operator in every
    ]
    return judgement("sparse", verdicts, measured=False, notes=[Remark("note.sparse")])


def _whole(every: Sequence[Operator], zeros: dict[int, float]) -> Remark | None:
    """Returns what keeps the whole file from sparse kernels."""
    pointwise = [operator for operator in every if _is_pointwise(operator)]
    if not pointwise:
        return Remark("reason.sparse_no_pointwise")
    if any(tensor.dtype == "int8" for operator in pointwise for tensor in operator.outputs):
        return Remark("reason.sparse_int8")
    if not any(_is_stem(operator) for operator in every):
        return Remark("reason.sparse_no_stem")
    if not any(operator.op in ENDS for operator in every):
        return Remark("reason.sparse_no_end")
    weights = [(operator, _weights(operator, every)) for operator in pointwise]
    elements = sum(tensor.elements for _, tensor in weights if tensor)
    empty = sum(zeros.get(operator.node.index, 0.0) * tensor.elements for operator, tensor in weights if tensor)
    if not elements or empty / elements <= LEAST_ZEROS:
        share = empty / elements if elements else 0.0
        return Remark("reason.sparse_few_zeros", {"share": share, "least": LEAST_ZEROS})
    return None


def _why(operator: Operator, zeros: dict[int, float], every: Sequence[Operator]) -> Remark | None:
    """Returns why one operator runs in no sparse kernel of a file that may have them."""
    if not _is_pointwise(operator):
        kind = "reason.sparse_between" if operator.op in BETWEEN or _is_stem(operator) else "reason.sparse_operator"
        return Remark(kind, {"op": operator.op})
    weights = _weights(operator, every)
    if weights is None or not weights.is_sparse:
        return Remark("reason.sparse_stored_dense", {"op": operator.op, "share": zeros.get(operator.node.index, 0.0)})
    return None


def _zeros(content: bytes, every: Sequence[Operator]) -> dict[int, float]:
    """Returns the share of zeros in the weights of each 1x1 convolution, by the operator's index."""
    found = {}
    for operator in every:
        weights = _weights(operator, every) if _is_pointwise(operator) else None
        if weights is None or not weights.is_floating:
            continue
        if weights.is_sparse:  # What is stored are the other values, in blocks that may hold zeros of their own.
            stored = weights.constant_bytes / np.dtype(weights.dtype).itemsize
            found[operator.node.index] = 1 - stored / weights.elements
        else:
            found[operator.node.index] = float(np.mean(constant(content, weights) == 0))
    return found


def _weights(operator: Operator, every: Sequence[Operator]) -> Tensor | None:
    """Returns the constant that holds an operator's weights, behind what unpacks it."""
    tensor = operator.input(1)
    while tensor is not None and not tensor.constant_bytes:
        index = tensor.index
        maker = next((other for other in every if index in other.node.outputs and other.node.subgraph == 0), None)
        if maker is None or maker.op not in UNPACKING:
            return None
        tensor = maker.input(0)
    return tensor


def _is_pointwise(operator: Operator) -> bool:
    kernel = operator.input(1)
    if operator.op != "CONV_2D" or kernel is None or operator.node.subgraph != 0:
        return False
    options = operator.node.options
    return kernel.shape[1:3] == (1, 1) and (options["strideH"], options["strideW"]) == (1, 1)


def _is_stem(operator: Operator) -> bool:
    kernel, options = operator.input(1), operator.node.options
    if operator.op != "CONV_2D" or kernel is None or kernel.shape[1:] != (3, 3, 3):
        return False
    return (options["strideH"], options["strideW"], options["padding"]) == (2, 2, SAME)
