"""OpenVINO's int8 kernels for Intel CPUs, measured: the file is compiled here, and the compiled model asked for each
layer's precision.

OpenVINO fuses layers, so its layers are not the file's operators. Layers that only hold, move or convert numbers are
not counted, since int8 means nothing there. What it makes of a file depends on the CPU: bfloat16 where that has it.

Source: "Runtime model" (`CompiledModel.get_runtime_model`) and its rt_info: layerType, runtimePrecision,
originalLayersNames; https://docs.openvino.ai.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, OpVerdict, Remark, judgement
from tfday7.benchmarking.acceleration.operators import operators
from tfday7.benchmarking.acceleration.rules import verdict
from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.exporting.tflite_contents import Summary
from tfday7.runtimes.openvino import shared_core

SUFFIXES = (".tflite", ".onnx", ".xml")
INT8 = ("i8", "u8")
UNCOUNTED = (
    "Const", "Input", "Output", "Parameter", "Result", "Reorder", "Reshape", "Transpose", "Convert", "Broadcast",
    "MemoryInput", "MemoryOutput",
)  # fmt: skip


@TARGETS.register("openvino_int8")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`. Raises UserError when OpenVINO is not installed, or takes no such file."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: OpenVINO takes {', '.join(SUFFIXES)}", "name another file, or another target")
    machine = environment.hardware()
    note = Remark("note.openvino", {"cpu": machine["cpu"] or machine["machine"]})
    try:
        layers = list(_layers(path))
    except RuntimeError as error:
        return _unreadable(summary, error)
    return judgement("openvino_int8", layers, measured=True, notes=[note])


def _unreadable(summary: Summary | None, error: RuntimeError) -> Judgement:
    """Returns the judgement of a file that OpenVINO cannot load: nothing of it is accelerated."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = Remark("reason.openvino_unreadable", {"error": (lines or ["?"])[-1][:300]})
    found = operators(summary) if summary else []
    verdicts = [verdict(operator, why) for operator in found]
    return judgement("openvino_int8", verdicts, measured=True, notes=[why])


def _layers(path: Path) -> Iterator[OpVerdict]:
    try:
        core = shared_core()
    except ImportError as error:
        raise UserError("OpenVINO is not installed", "pip install openvino") from error
    # As `runtimes.openvino` compiles it: by default OpenVINO takes bfloat16 where the CPU has it.
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for at, layer in enumerate(compiled.get_runtime_model().get_ordered_ops()):
        kind, precision = _said(layer, "layerType"), _said(layer, "runtimePrecision")
        if kind in UNCOUNTED:
            continue
        why = None
        if precision not in INT8:
            why = Remark("reason.openvino_precision", {"op": kind, "precision": precision})
        yield OpVerdict(at, kind, _said(layer, "originalLayersNames") or layer.get_friendly_name(), None, why)


def _said(layer: Any, key: str) -> str:
    information = layer.get_rt_info()
    return information[key].astype(str) if key in information else ""
