"""TensorRT: an ONNX file that keeps TensorRT's rules, and an engine where TensorRT and a GPU are there.

The engine belongs to one GPU and one version of TensorRT; the ONNX file goes anywhere, and `trtexec` builds an engine
of it there. Without TensorRT, ONNX Runtime's TensorRT and CUDA providers run the same file (`--device=gpu`).

Rules (NVIDIA TensorRT documentation, "Working with Quantized Types" and the operator list of its ONNX parser): shapes
are static; int8 is symmetric, its zero points 0; biases stay in float; every operator is one that the parser has.
"""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.exporting import onnx_conversion
from tfday7.exporting.format import FORMATS, Format, Request

# Of the parser's list (TensorRT 10), what models of Keras can become.
SUPPORTED = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip
    Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
    Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GRU GroupNormalization HardSigmoid HardSwish Hardmax Identity If
    InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop
    LpNormalization LSTM MatMul Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or Pad Pow PRelu
    QuantizeLinear RandomNormal RandomUniform Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RNN
    Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()  # noqa: SIM905 - a hundred quoted names would hide the list.
)
BATCH = 1


class TensorRT(Format):
    """`float16` is a float32 file whose engine is built with float16 arithmetic allowed."""

    name = "tensorrt"
    kinds = ("float32", "float16", "int8")
    usual = ("float16", "int8")
    suffix = ".tensorrt.onnx"
    runtime = "onnxruntime"
    needs_own_process = True  # Its engine is built on the GPU.
    fixed_batch = True

    def convert(self, request: Request) -> list[str]:
        """See `Format.convert`."""
        import onnx

        model = onnx_conversion.to_onnx(request.saved_model, BATCH)
        if request.kind == "int8":
            model = onnx_conversion.quantized(model, str(request.calibration), onnx_conversion.Quantization(True))
        broken = rule_problems(model)
        if broken:
            raise ValueError(f"TensorRT would refuse it: {'; '.join(broken[:5])}")
        onnx.save(model, request.output)
        return [build_engine(Path(request.output), request.kind), f"build one: {trtexec(request.output, request.kind)}"]

    def judged_as(self, kind: str) -> str:
        """See `Format.judged_as`. The file of `float16` holds float32; what an engine rounds is not seen here."""
        return "float32" if kind == "float16" else kind

    def problems(self, path: Path, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
        """See `Format.problems`."""
        return onnx_conversion.weight_problems(path) if kind == "int8" else []


def rule_problems(model: Any) -> list[str]:
    """Returns what TensorRT's parser would refuse in an ONNX model, as sentences."""
    import onnx

    found = [
        f"{each.name} has an open size"
        for each in (*model.graph.input, *model.graph.output)
        if any(not size.HasField("dim_value") for size in each.type.tensor_type.shape.dim)
    ]
    unknown = sorted({node.op_type for node in model.graph.node} - SUPPORTED)
    if unknown:
        found.append(f"operators that it does not have: {', '.join(unknown)}")
    constants = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
            zero = constants.get(node.input[2])
            if zero is None or np.any(onnx.numpy_helper.to_array(zero)):
                found.append(f"the zero point of {node.name or node.op_type} is not 0")
            elif zero.data_type != onnx.TensorProto.INT8:
                found.append(f"{node.name or node.op_type} is quantized to another type than int8")
    return found


def trtexec(path: str, kind: str) -> str:
    """Returns the command that builds an engine of the file on a GPU host."""
    name = Path(path).name
    allowed = {"float16": ["--fp16"], "int8": ["--int8", "--fp16"]}.get(kind, [])
    return shlex.join(["trtexec", f"--onnx={name}", f"--saveEngine={_engine_name(name)}", *allowed])


def build_engine(path: Path, kind: str) -> str:
    """Builds an engine beside the ONNX file where TensorRT and a GPU are there; returns a note that says what was done.

    Raises:
        ValueError: TensorRT refuses the file.
    """
    if importlib.util.find_spec("tensorrt") is None:
        return "no engine was built: tensorrt is not installed (pip install 'tfday7[tensorrt]', on a GPU host)"
    if not Path("/dev/nvidiactl").exists():
        return "no engine was built: this machine has no NVIDIA GPU"
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(path.read_bytes()):
        raise ValueError("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    settings = builder.create_builder_config()
    for flag in {"float16": ["FP16"], "int8": ["INT8", "FP16"]}.get(kind, []):
        if hasattr(tensorrt.BuilderFlag, flag):  # Newer versions take the types from the network alone.
            settings.set_flag(getattr(tensorrt.BuilderFlag, flag))
    engine = builder.build_serialized_network(network, settings)
    if engine is None:
        raise ValueError("TensorRT could not build an engine")
    path.with_name(_engine_name(path.name)).write_bytes(bytes(engine))
    made = f"an engine was built by TensorRT {tensorrt.__version__} for this machine's GPU"
    return f"{made}; what is verified is the ONNX file, not the engine"


def _engine_name(name: str) -> str:
    return name.removesuffix(".tensorrt.onnx") + ".engine"


FORMATS.add("tensorrt", TensorRT())
