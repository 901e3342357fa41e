"""A worker with a runtime more, which breaks in the way that its artefact's name says, and a target that crashes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking import worker
from tfday7.benchmarking.acceleration import TARGETS, Judgement
from tfday7.core.errors import UserError
from tfday7.runtimes import RUNTIMES, Runner, Tensor
from tfday7.runtimes.table import PACKAGES


class Breaking(Runner):
    """Runs anything, until it breaks: "abort on load.tflite" or "hang on run.tflite"."""

    name = "breaking"
    suffixes = (".tflite",)
    input, output = Tensor("float32", (1, 2)), Tensor("float32", (1, 2))

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        super().__init__(path, threads, device, batch_size)
        self.how, _, self.when = path.stem.partition(" on ")
        self.runs = 0
        os.write(1, b"a native library says hello on stdout\n")
        self._break("load")

    def feed(self, x: np.ndarray) -> None:
        self.fed = x

    def run(self) -> None:
        self.runs += 1
        if self.runs > worker.MAX_WARM_UPS + 10:
            self._break("run")
        if self.runs == 1:
            self._break("first")
        time.sleep(0.001)

    def read(self) -> np.ndarray:
        return self.fed

    def _break(self, when: str) -> None:
        if when != self.when:
            return
        if self.how in ("fork", "fork and abort"):
            if not os.fork():
                time.sleep(3600)
            self.how = self.how.rpartition(" ")[2]
        if self.how == "abort":
            sys.stderr.write("free(): invalid pointer\n")
            sys.stderr.flush()
            os.abort()
        elif self.how == "hang":
            time.sleep(3600)
        elif self.how == "exit":
            os._exit(7)
        elif self.how == "raise":
            raise RuntimeError("something native\nwith details")
        elif self.how == "refuse":
            raise UserError("made for batches of 1", "use another one")


def crash(path: Path, summary: Any) -> Judgement:
    """A target whose native code aborts."""
    os.abort()


def toy(path: Path, summary: Any) -> Judgement:
    """A target that accelerates nothing that there is."""
    return Judgement("toy", (), (), measured=False)


if __name__ == "__main__":
    TARGETS.add("crashing", crash)
    TARGETS.add("toy", toy)
    RUNTIMES.add("breaking", Breaking)
    PACKAGES["breaking"] = ("numpy", "none")
    worker.main()
