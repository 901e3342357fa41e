"""Runs a `.tflite` file through ai-edge-litert, the runtime that phones and Raspberry Pis have. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes


class LiteRTModel:
    """A loaded `.tflite` file with one input and one output.

    Args:
        path: the file.
        threads: CPU threads that the runtime may use.

    Raises:
        UserError: not a readable `.tflite` file, or more than one input or output.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        try:
            with without_notes():
                self._interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise UserError(f"{path}: LiteRT cannot load it ({error})") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        self.input, self.output = inputs[0], outputs[0]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns float32 outputs [n, ...] for inputs [n, ...], one invocation an example.

        Real values are quantized and dequantized with the file's own parameters, as an app does it.
        """
        quantized = self.quantize(x)
        return np.concatenate([self.invoke(quantized[i : i + 1]) for i in range(len(quantized))])

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Returns real inputs as the numbers that the file takes."""
        dtype, (scale, zero_point) = self.input["dtype"], self.input["quantization"]
        if not scale:
            return x.astype(dtype)
        limits = np.iinfo(dtype)
        return np.clip(np.round(x / scale) + zero_point, limits.min, limits.max).astype(dtype)

    def invoke(self, x: np.ndarray) -> np.ndarray:
        """Runs one batch [1, ...] of the file's own numbers and returns real outputs, float32."""
        self.feed(x)
        self.run()
        y = self._interpreter.get_tensor(self.output["index"])
        scale, zero_point = self.output["quantization"]
        return (y.astype(np.float32) - zero_point) * scale if scale else y.astype(np.float32)

    def feed(self, x: np.ndarray) -> None:
        """Sets the input to one batch [1, ...] of the file's own numbers.

        State is reset first: TFLite's fused LSTM keeps it from one invocation to the next otherwise.
        """
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self.input["index"], x)

    def run(self) -> None:
        """Runs the model on what was fed: what a latency is measured of."""
        self._interpreter.invoke()

    def float_tensors(self) -> list[str]:
        """Returns the names of tensors that hold floating-point numbers; a fully quantized file has none.

        Tensors without elements hold none: the fused LSTM lists four of them for a normalization that it does not do.
        """
        details = [detail for detail in self._interpreter.get_tensor_details() if 0 not in detail["shape"]]
        return [detail["name"] for detail in details if np.issubdtype(detail["dtype"], np.floating)]

    def describe(self, side: str) -> dict[str, Any]:
        """Returns dtype, shape, scale and zero point of the "input" or the "output"."""
        detail = self.input if side == "input" else self.output
        scale, zero_point = detail["quantization"]
        return {
            "dtype": np.dtype(detail["dtype"]).name,
            "shape": [int(size) for size in detail["shape"]],
            "scale": float(scale) if scale else None,
            "zero_point": int(zero_point) if scale else None,
        }
