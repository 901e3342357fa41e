"""OpenVINO IR: an `.xml` with the graph and a `.bin` with the weights, made from ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfday7.exporting import onnx_conversion
from tfday7.exporting.format import FORMATS, Format, Request
from tfday7.runtimes.openvino import load, shared_core


class OpenVinoIR(Format):
    """float16 holds weights of half the size; int8 keeps the integers of the QDQ form."""

    name = "openvino"
    kinds = ("float32", "float16", "int8")
    usual = ("float16", "int8")
    suffix = ".xml"
    runtime = "openvino"

    def convert(self, request: Request) -> list[str]:
        """See `Format.convert`."""
        import onnx

        openvino = load()

        model = onnx_conversion.to_onnx(request.saved_model, request.batch)
        if request.kind == "int8":
            how = onnx_conversion.Quantization()
            model = onnx_conversion.quantized(model, str(request.calibration), how, request.batch)
            if broken := onnx_conversion.weight_problems_of(model):
                raise ValueError("; ".join(broken[:5]))
        with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
            path = Path(scratch) / "model.onnx"
            onnx.save(model, str(path))
            stays = onnx_conversion.float_operators(path) if request.kind == "int8" else []
            converted = openvino.convert_model(str(path))
            openvino.save_model(converted, request.output, compress_to_fp16=request.kind == "float16")
        return [f"{', '.join(stays)} stay in float32: they have no int8 form"] if stays else []

    def problems(self, path: Path, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
        """See `Format.problems`."""
        if kind == "float32":
            return []
        nodes = shared_core().read_model(path).get_ops()
        constants = [node for node in nodes if node.get_type_name() == "Constant"]
        wanted = {"int8": ("i8",), "float16": ("f16",)}[kind]
        weights = [node for node in constants if len(node.get_output_shape(0)) > 1]
        if not any(node.get_element_type().get_type_name() in wanted for node in weights):
            return [f"not converted: no weights are {kind}"]
        return []


FORMATS.add("openvino", OpenVinoIR())
