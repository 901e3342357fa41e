"""Does a `.tflite` file deserve its kind? Judged by what it holds, before anything is run."""

from __future__ import annotations

from tfday7.core.errors import unknown_name
from tfday7.exporting.tflite_contents import Summary, Tensor

KINDS = ("float32", "float16", "dynamic", "int8")
NAMED_ISLANDS = 5
# Where activations stay floating point, the converter quantizes the weights of these operators, from this size on.
DYNAMIC_MIN_ELEMENTS = 1024
DYNAMIC_OPERATORS = (
    "BATCH_MATMUL", "BIDIRECTIONAL_SEQUENCE_LSTM", "CONV_2D", "DEPTHWISE_CONV_2D", "EMBEDDING_LOOKUP",
    "FULLY_CONNECTED", "GATHER", "LSTM", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM",
)  # fmt: skip


def float_islands(summary: Summary) -> list[str]:
    """Returns the names of tensors that hold floating-point numbers, which a file that is int8 throughout has none of.

    Tensors without elements hold none: the fused LSTM lists four of them for a normalization that it does not do.
    """
    return [tensor.name for tensor in summary.tensors if tensor.is_floating and tensor.elements > 0]


def problems(summary: Summary, kind: str) -> list[str]:
    """Returns why a file does not deserve its kind, in sentences; empty when it does.

    Args:
        summary: from `read`.
        kind: one of `KINDS`.

    A "dynamic" file whose weights are all too small for the converter is no problem, but see `notes`.

    Raises:
        UserError: no such kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind of TFLite file", kind, KINDS)
    checks = {"float16": _float16_problems, "dynamic": _dynamic_problems, "int8": _int8_problems}
    own = checks[kind](summary) if kind in checks else []
    return own + _foreign_operators(summary)


def notes(summary: Summary, kind: str) -> list[str]:
    """Returns what the user of a file of this kind should know although nothing is wrong."""
    found = []
    if kind == "dynamic" and not _weights(summary, "int8") and not _quantizable(summary):
        found.append(
            f"no weight was quantized: the converter leaves those with fewer than {DYNAMIC_MIN_ELEMENTS:,} elements in "
            "float32, and this model has no larger ones"
        )
    if summary.is_stateful:
        found.append("it keeps state from one invocation to the next: reset its variables before each example")
    return found


def _float16_problems(summary: Summary) -> list[str]:
    return [] if _weights(summary, "float16") else ["it holds no float16 weights"]


def _dynamic_problems(summary: Summary) -> list[str]:
    large = _quantizable(summary)
    if _weights(summary, "int8") or not large:
        return []
    return [f"it holds no int8 weights, although {large[0].name} has {large[0].elements:,} elements"]


def _int8_problems(summary: Summary) -> list[str]:
    found = []
    if not _weights(summary, "int8"):
        found.append("it holds no int8 weights: it is not quantized at all")
    if islands := float_islands(summary):
        more = f" and {len(islands) - NAMED_ISLANDS} more" if len(islands) > NAMED_ISLANDS else ""
        found.append(f"not int8 throughout: {', '.join(islands[:NAMED_ISLANDS])}{more} stay in floating point")
    for side, tensors in (("input", summary.inputs), ("output", summary.outputs)):
        for tensor in tensors:
            # Token ids and classes are integers by nature; only numbers can be quantized.
            if tensor.dtype != "int8" and tensor.dtype not in ("int32", "int64"):
                found.append(f"its {side} {tensor.name} is {tensor.dtype}, not int8")
    return found


def _foreign_operators(summary: Summary) -> list[str]:
    flex = sorted({operator.name for operator in summary.operators if operator.flex})
    custom = sorted({operator.name for operator in summary.operators if operator.custom and not operator.flex})
    found = [f"it needs the Flex delegate: {', '.join(flex)}"] if flex else []
    return found + ([f"it needs custom operators that no runtime brings: {', '.join(custom)}"] if custom else [])


def _weights(summary: Summary, dtype: str) -> list[Tensor]:
    """Returns the weights of a type; quantized biases are int32 and so are none of int8."""
    return [tensor for tensor in summary.tensors if tensor.is_weight and tensor.dtype == dtype]


def _quantizable(summary: Summary) -> list[Tensor]:
    """Returns the float32 weights that the converter would have quantized in a "dynamic" file."""
    read_by = [
        tensor for node in summary.nodes if node.op in DYNAMIC_OPERATORS for tensor in summary.inputs_of(node) if tensor
    ]
    large = [tensor for tensor in read_by if tensor.is_weight and tensor.elements >= DYNAMIC_MIN_ELEMENTS]
    return [tensor for tensor in large if tensor.dtype == "float32" and len(tensor.shape) > 1]
