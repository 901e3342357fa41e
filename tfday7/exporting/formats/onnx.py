"""ONNX, for ONNX Runtime and everything else that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfday7.exporting import onnx_conversion
from tfday7.exporting.format import FORMATS, Format, Request


class Onnx(Format):
    """Float, and int8 in QDQ form; `onnx_conversion` says how. Checked by onnx's checker and shape inference."""

    name = "onnx"
    kinds = ("float32", "int8")
    usual = ("float32", "int8")
    suffix = ".onnx"
    runtime = "onnxruntime"

    def convert(self, request: Request) -> list[str]:
        """See `Format.convert`."""
        import onnx

        model = onnx_conversion.to_onnx(request.saved_model, request.batch)
        if request.kind == "int8":
            how = onnx_conversion.Quantization()
            model = onnx_conversion.quantized(model, str(request.calibration), how, request.batch)
        onnx.save(model, request.output)
        stays = onnx_conversion.float_operators(Path(request.output)) if request.kind == "int8" else []
        return [f"{', '.join(stays)} stay in float32: ONNX Runtime has no int8 form of them"] if stays else []

    def problems(self, path: Path, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
        """See `Format.problems`."""
        return onnx_conversion.weight_problems(path) if kind == "int8" else []


FORMATS.add("onnx", Onnx())
