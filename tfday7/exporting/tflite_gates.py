"""Does a `.tflite` file deserve its kind? Judged by what it holds, before anything is run."""

from __future__ import annotations

from collections.abc import Sequence

from tfday7.core.errors import unknown_name
from tfday7.exporting import tflite_layers
from tfday7.exporting.tflite_contents import WEIGHT_MIN_ELEMENTS, Summary, Tensor

KINDS = ("float32", "float16", "dynamic", "int8", "int16x8", "weight_int8", "weight_int4")
NAMED = 5
# Where activations stay floating point, the converter quantizes the weights of these operators, from this size on.
DYNAMIC_MIN_ELEMENTS = 1024
DYNAMIC_OPERATORS = (
    "BATCH_MATMUL", "BIDIRECTIONAL_SEQUENCE_LSTM", "CONV_2D", "DEPTHWISE_CONV_2D", "EMBEDDING_LOOKUP",
    "FULLY_CONNECTED", "GATHER", "LSTM", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM",
)  # fmt: skip
ACTIVATIONS = {"int8": "int8", "int16x8": "int16"}
WEIGHTS = {"weight_int8": "int8", "weight_int4": "int4"}


def float_islands(summary: Summary) -> list[str]:
    """Returns the names of tensors that hold floating-point numbers, which a file that is int8 throughout has none of.

    Tensors without elements hold none: the fused LSTM lists four of them for a normalization that it does not do.
    """
    return [tensor.name for tensor in summary.tensors if tensor.is_floating and tensor.elements > 0]


def problems(summary: Summary, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
    """Returns why a file does not deserve its kind, in sentences; empty when it does.

    Args:
        summary: from `read`.
        kind: one of `KINDS`.
        float_layers: Keras layers that were told to stay in float32 in an int8 file; their operators alone may.

    A "dynamic" file whose weights are all too small for the converter is no problem, but see `notes`.

    Raises:
        UserError: no such kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind of TFLite file", kind, KINDS)
    if kind in ACTIVATIONS:
        own = _integer_problems(summary, kind, float_layers)
    elif kind in WEIGHTS:
        own = _weight_problems(summary, kind)
    else:
        checks = {"float16": _float16_problems, "dynamic": _dynamic_problems}
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
    if kind in WEIGHTS and not _weights(summary, WEIGHTS[kind]):
        found.append(
            f"no weight was quantized: those with fewer than {WEIGHT_MIN_ELEMENTS:,} elements stay in float32, and "
            "this model has no larger ones"
        )
    if kind == "int16x8":
        found.append("XNNPACK has no int16 operators: TFLite's own kernels run it, many times slower; not for speed")
    if kind == "weight_int4" and _weights(summary, "int4"):
        found.append(
            "XNNPACK does not unpack 4 bits: TFLite's own kernels run it, slower than the float32 file; for size, not "
            "for speed. tflite-runtime 2.14 does not read it, ai-edge-litert 1.4 and later do"
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


def _integer_problems(summary: Summary, kind: str, float_layers: Sequence[str]) -> list[str]:
    found, dtype = [], ACTIVATIONS[kind]
    if not _weights(summary, "int8"):
        found.append("it holds no int8 weights: it is not quantized at all")
    if float_layers:
        others = tflite_layers.touched_by_others(summary, float_layers)
        islands = [tensor.name for tensor in others]
        if quantized := tflite_layers.without_float(summary, float_layers):
            found.append(f"{_listed(quantized)} were to stay in float32, and are {kind} all the same")
    else:
        islands = float_islands(summary)
    if islands:
        found.append(f"not {kind} throughout: {_listed(islands)} stay in floating point")
    for side, tensors in (("input", summary.inputs), ("output", summary.outputs)):
        for tensor in tensors:
            # Token ids and classes are integers by nature; only numbers can be quantized.
            if tensor.dtype != dtype and tensor.dtype not in ("int32", "int64"):
                found.append(f"its {side} {tensor.name} is {tensor.dtype}, not {dtype}")
    if kind == "int16x8":
        narrow = [tensor.name for tensor in _activations(summary) if tensor.dtype == "int8"]
        found += [f"activations of 8 bits: {_listed(narrow)}"] if narrow else []
    return found


def _weight_problems(summary: Summary, kind: str) -> list[str]:
    found = []
    large = [tensor for tensor in summary.tensors if tensor.is_weight and len(tensor.shape) > 1]
    others = [
        tensor.name for tensor in large if tensor.elements >= WEIGHT_MIN_ELEMENTS and tensor.dtype != WEIGHTS[kind]
    ]
    if others:
        found.append(f"weights that are not {WEIGHTS[kind]}: {_listed(others)}")
    if integers := [tensor.name for tensor in _activations(summary) if tensor.is_quantized]:
        found.append(f"activations that are not floating point: {_listed(integers)}")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _foreign_operators(summary: Summary) -> list[str]:
    flex = sorted({operator.name for operator in summary.operators if operator.flex})
    custom = sorted({operator.name for operator in summary.operators if operator.custom and not operator.flex})
    found = [f"it needs the Flex delegate: {', '.join(flex)}"] if flex else []
    return found + ([f"it needs custom operators that no runtime brings: {', '.join(custom)}"] if custom else [])


def _weights(summary: Summary, dtype: str) -> list[Tensor]:
    """Returns the weights of a type; quantized biases are int32 and so are none of int8."""
    return [tensor for tensor in summary.tensors if tensor.is_weight and tensor.dtype == dtype]


def _activations(summary: Summary) -> list[Tensor]:
    """Returns what operators give, but not weights that one unpacks."""
    given = {
        (node.subgraph, index)
        for node in summary.nodes
        if not (node.op == "DENSIFY" and all(tensor and tensor.is_constant for tensor in summary.inputs_of(node)))
        for index in node.outputs
    }
    return [tensor for tensor in summary.tensors if (tensor.subgraph, tensor.index) in given]


def _quantizable(summary: Summary) -> list[Tensor]:
    """Returns the float32 weights that the converter would have quantized in a "dynamic" file."""
    read_by = [
        tensor for node in summary.nodes if node.op in DYNAMIC_OPERATORS for tensor in summary.inputs_of(node) if tensor
    ]
    large = [tensor for tensor in read_by if tensor.is_weight and tensor.elements >= DYNAMIC_MIN_ELEMENTS]
    return [tensor for tensor in large if tensor.dtype == "float32" and len(tensor.shape) > 1]
