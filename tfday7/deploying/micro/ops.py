"""What TFLite Micro can run: which operators it has, and which numbers they take.

The table has each builtin operator of which a kernel is registered, with the method of `MicroMutableOpResolver` that
adds it. A test asks the installed tflite-micro for each of TFLite's operators, so the table is that of the release in
constraints.txt. Kernels look at types when they prepare: what they are known to refuse is named here beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfday7.exporting.tflite_contents import Node, Summary, Tensor

# Methods are the operators' names in camel case, but for these.
_OTHER_METHODS = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "L2_NORMALIZATION": "AddL2Normalization",
    "L2_POOL_2D": "AddL2Pool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "PADV2": "AddPadV2",
    "RELU6": "AddRelu6",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}
_NAMES = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
    SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""


def _camel(name: str) -> str:
    return "Add" + "".join(part.capitalize() for part in name.split("_"))


METHODS = {name: _OTHER_METHODS.get(name, _camel(name)) for name in _NAMES.split()}

TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool", "int4")
# With int8 weights these need activations in 8 or 16 bits: TFLite Micro has no dynamic-range kernels.
WEIGHTED = (
    "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)  # fmt: skip
UNPACKED = ("int8", "int16", "uint8")  # What DEQUANTIZE takes, with one scale for all of a tensor.
VARIABLES = ("ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE")


def methods(summary: Summary) -> list[str]:
    """Returns the resolver's methods that add exactly a file's operators, sorted."""
    return sorted({METHODS[operator.name] for operator in summary.operators})


def problems(summary: Summary) -> list[str]:
    """Returns why TFLite Micro cannot run a file, in sentences; empty when nothing is known against it."""
    return list(_problems(summary))


def _problems(summary: Summary) -> Iterator[str]:
    custom = sorted({operator.name for operator in summary.operators if operator.custom})
    missing = sorted({o.name for o in summary.operators if not o.custom and o.name not in METHODS})
    variables = sorted({operator.name for operator in summary.operators if operator.name in VARIABLES})
    if custom:
        yield f"custom operators: {', '.join(custom)}"
    if missing:
        yield f"operators that TFLite Micro does not have: {', '.join(missing)}"
    if variables:
        yield f"resource variables ({', '.join(variables)}), which this bundle does not set up"
    used = [tensor for tensor in summary.tensors if tensor.elements > 0]
    types = sorted({tensor.dtype for tensor in used if tensor.dtype not in (*TYPES, "resource")})
    if types:
        yield f"numbers of types that its kernels do not take: {', '.join(types)}"
    if any(tensor.is_sparse for tensor in used):
        yield "sparse weights"
    if any(-1 in tensor.signature for tensor in used):
        yield "tensors whose size is open until it runs"
    hybrid = sorted({node.op for node in summary.nodes if _is_hybrid(node, summary.inputs_of(node))})
    if hybrid:
        yield f"dynamic-range weights: {', '.join(hybrid)} with int8 weights and float32 inputs"
    yield from _unpacking(summary)


def _unpacking(summary: Summary) -> Iterator[str]:
    """Yields what is against the tensors that DEQUANTIZE makes float32 of, as in files of weights alone."""
    given = [summary.inputs_of(node)[0] for node in summary.nodes if node.op == "DEQUANTIZE"]
    tensors = [tensor for tensor in given if tensor is not None]
    types = sorted({tensor.dtype for tensor in tensors if tensor.dtype in TYPES and tensor.dtype not in UNPACKED})
    if types:
        yield f"DEQUANTIZE of {', '.join(types)}, which its kernel does not take"
    if any(tensor.is_per_channel and tensor.dtype in UNPACKED for tensor in tensors):
        # It loads them, and answers wrong: the kernel reads the first scale alone.
        yield "DEQUANTIZE of weights with a scale for each channel, of which its kernel takes one for all"


def _is_hybrid(node: Node, inputs: list[Tensor | None]) -> bool:
    if node.op not in WEIGHTED or not inputs or inputs[0] is None:
        return False
    weights = [tensor for tensor in inputs[1:] if tensor is not None and tensor.is_weight]
    return inputs[0].dtype == "float32" and any(tensor.dtype in ("int8", "int4", "uint8") for tensor in weights)
