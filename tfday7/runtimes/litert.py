"""Runs a `.tflite` file through ai-edge-litert, the runtime that phones and Raspberry Pis have. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes
from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.table import RUNTIMES, one_of_each


@RUNTIMES.register("litert")
class LiteRT(Runner):
    """See `Runner`."""

    name = "litert"
    suffixes = (".tflite",)

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(path, threads, device, batch_size)
        if device != "cpu":
            raise UserError(f"{path}: LiteRT's Python package runs on the CPU alone", "the GPU delegate is for phones")
        try:
            with without_notes():
                self._interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
                self._resize()
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise UserError(f"{path}: LiteRT cannot load it ({_first_line(error)})") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = one_of_each(path, inputs, outputs)
        self.input, self.output = _tensor(self._input), _tensor(self._output)
        if self.output.shape[:1] != (batch_size,):
            raise UserError(f"{path}: LiteRT cannot run it with a batch of {batch_size}: it is made for one example")

    def _resize(self) -> None:
        details = self._interpreter.get_input_details()
        if self.batch_size != 1 and len(details) == 1:
            shape = [self.batch_size, *details[0]["shape"][1:]]
            self._interpreter.resize_tensor_input(details[0]["index"], shape, strict=False)

    def feed(self, x: np.ndarray) -> None:
        """See `Runner.feed`.

        State is reset first: TFLite's fused LSTM keeps it from one invocation to the next otherwise.
        """
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self._input["index"], x)

    def run(self) -> None:
        """See `Runner.run`."""
        self._interpreter.invoke()

    def read(self) -> np.ndarray:
        """See `Runner.read`."""
        return self._interpreter.get_tensor(self._output["index"])


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(size) for size in detail["shape"])
    quantized = (float(scale), int(zero_point)) if scale else (None, None)
    return Tensor(np.dtype(detail["dtype"]).name, shape, *quantized)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
