"""Runs OpenVINO's own files, and `.onnx` and `.tflite` ones, through OpenVINO."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.table import RUNTIMES, one_of_each

QUANTIZED = ("int8", "uint8", "int16")  # What ends of a .tflite file may be, with a scale that OpenVINO does not tell.


@RUNTIMES.register("openvino")
class OpenVino(Runner):
    """See `Runner`. Float arithmetic is float32: by default OpenVINO takes bfloat16 where the CPU has it."""

    name = "openvino"
    suffixes = (".xml", ".onnx", ".tflite")

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        openvino, core = load(), shared_core()
        super().__init__(path, threads, device, batch_size)
        if device.upper() not in core.available_devices:
            raise UserError(f"OpenVINO finds no {device} on this machine (only {', '.join(core.available_devices)})")
        settings = {"INFERENCE_NUM_THREADS": threads} if device == "cpu" else {}
        try:
            model = core.read_model(path)
            given, _ = one_of_each(path, model.inputs, model.outputs)
            _set_batch(model, given, batch_size)
            compiled = core.compile_model(
                model,
                device.upper(),
                {**settings, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32"},
            )
        except RuntimeError as error:
            raise UserError(f"{path}: OpenVINO cannot load it ({_reason(error)})") from error
        self.compiled = compiled
        self.input, self.output = _tensor(compiled.inputs[0]), _tensor(compiled.outputs[0])
        if path.suffix == ".tflite" and not {self.input.dtype, self.output.dtype}.isdisjoint(QUANTIZED):
            start, end = _scales(path)
            self.input = dataclasses.replace(self.input, **start)
            self.output = dataclasses.replace(self.output, **end)
        self._request = compiled.create_infer_request()
        self._tensor = openvino.Tensor

    def feed(self, x: np.ndarray) -> None:
        """See `Runner.feed`."""
        self._held = np.ascontiguousarray(x)  # OpenVINO shares its memory.
        self._request.set_input_tensor(self._tensor(self._held, shared_memory=True))

    def run(self) -> None:
        """See `Runner.run`."""
        self._request.infer()

    def read(self) -> np.ndarray:
        """See `Runner.read`."""
        return np.array(self._request.get_output_tensor().data)


def load() -> Any:
    """Returns the package `openvino`, imported without its telemetry.

    Its import reports the use to Google Analytics unless the user has forbidden it, from a forked child: that asks
    nobody, disturbs what is being timed, and a child that hangs outlives the program. Where the package for it is
    missing, OpenVINO does without; so it is made to be missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # The documented way to block one.
    return importlib.import_module("openvino")


@functools.cache
def shared_core() -> Any:
    """Returns the one `openvino.Core` of this process, which lives as long as the process.

    Where the CPU has AMX, a core gives the thread that makes it a stack for signals, and takes the memory back with
    itself. Taken back in another thread, the first one keeps the address: the next Ctrl-C ends in a segmentation fault
    instead of a checkpoint.
    """
    return load().Core()


def _set_batch(model: Any, given: Any, batch_size: int) -> None:
    shape = given.partial_shape
    if shape.is_static and batch_size == shape[0].get_length():
        return
    shape[0] = batch_size
    model.reshape({given: shape})


def _tensor(port: Any) -> Tensor:
    shape = port.partial_shape
    sizes = tuple(size.get_length() if size.is_static else None for size in shape)
    return Tensor(np.dtype(port.element_type.to_dtype()).name, sizes)


def _scales(path: Path) -> list[dict[str, Any]]:
    """Returns scale and zero point of a `.tflite` file's input and output, which OpenVINO does not tell."""
    from ai_edge_litert import schema_py_generated as schema

    found: list[dict[str, Any]] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
        for index in (graph.Inputs(0), graph.Outputs(0)):
            quantization = graph.Tensors(index).Quantization()
            has_scale = quantization is not None and quantization.ScaleLength() == 1
            scale = float(quantization.Scale(0)) if has_scale else None
            zero_point = int(quantization.ZeroPoint(0)) if has_scale and quantization.ZeroPointLength() else 0
            found.append({"scale": scale, "zero_point": zero_point} if has_scale else {})
    return found


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]
