"""What every runtime does with an artefact: take numbers, run, give numbers.

Feeding, running and reading are three steps, so that a latency is that of the running alone. A runner speaks the file's
own numbers; `predict` takes and gives real ones.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One end of a model.

    Attributes:
        dtype: of the file's own numbers, for example "int8".
        shape: with the batch first; None where a size is open.
        scale, zero_point: real = (number - zero_point) * scale; None where numbers are real.
    """

    dtype: str
    shape: tuple[int | None, ...]
    scale: float | None = None
    zero_point: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the record of the tensor, as plain JSON values."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Returns real values as the numbers that the file takes: rounded half to even, and cut off at the ends."""
        if self.scale is None or self.zero_point is None:
            return x.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.round(x / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, y: np.ndarray) -> np.ndarray:
        """Returns the file's numbers as real ones, float32."""
        y = y.astype(np.float32)
        if self.scale is None or self.zero_point is None:
            return y
        return (y - np.float32(self.zero_point)) * np.float32(self.scale)


class Runner(abc.ABC):
    """A loaded artefact with one input and one output.

    Args:
        path: the file or folder.
        threads: CPU threads that the runtime may use.
        device: "cpu" or "gpu".
        batch_size: examples a run; an artefact for one example at a time takes no other.

    Raises:
        UserError: the runtime is not installed, the artefact cannot be loaded, or does not take such batches.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]  # Of the files that it takes; "" stands for a SavedModel folder.
    input: Tensor
    output: Tensor

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        self.path, self.threads, self.device, self.batch_size = path, threads, device, batch_size

    @abc.abstractmethod
    def feed(self, x: np.ndarray) -> None:
        """Sets the input to one batch [batch_size, ...] of the file's own numbers."""

    @abc.abstractmethod
    def run(self) -> None:
        """Runs the model on what was fed, and waits for the end: what a latency is measured of."""

    @abc.abstractmethod
    def read(self) -> np.ndarray:
        """Returns the outputs of the last run, in the file's own numbers."""

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Returns real inputs as the numbers that the file takes."""
        return self.input.quantize(x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns real outputs [n, ...], float32, for real inputs [n, ...], as an app computes them."""
        return np.concatenate(list(self._in_batches(self.quantize(x))))

    def _in_batches(self, x: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(x), self.batch_size):
            part = x[start : start + self.batch_size]
            missing = self.batch_size - len(part)
            self.feed(np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part)
            self.run()
            yield self.output.dequantize(self.read())[: len(part)]
