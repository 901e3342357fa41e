"""The parent's end of a worker: starts the process, asks, waits for so long and no longer, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.figures import Round

COMMAND = (sys.executable, "-m", "tfday7.benchmarking.worker")
START_SECONDS = 300.0  # To import TensorFlow on a busy machine, or to compile a large model.
LOOK_SECONDS = 1.0  # How often to look whether the process is still there, while it says nothing.
ANSWER_SECONDS = 120.0  # For a round, which holds one run or takes a fraction of a second.


class CellError(Exception):
    """A cell cannot be measured, for a reason in words; the others can."""


class Worker:
    """A process that measures one cell; see `worker.Measured` for what it does.

    Args:
        cell: what to measure.
        inputs: .npy file with real inputs, or None.
        command: starts the process; its own process id is appended.
        seconds: how long an answer may take.
        prepare: whether it is to import the cell's runtime.

    Methods raise CellError when the process refuses, has died, or does not answer.
    """

    def __init__(
        self,
        cell: Cell,
        inputs: Path | None = None,
        command: Sequence[str] = COMMAND,
        seconds: float = ANSWER_SECONDS,
        prepare: bool = True,
    ) -> None:
        self.cell = cell
        self.seconds = seconds
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`.
        self._rest = b""
        self._process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the worker's whole session.
        )
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        request = {
            "path": str(cell.subject.path),
            "runtime": cell.runtime,
            "threads": cell.threads,
            "batch_size": cell.batch_size,
            "device": cell.device,
            "inputs": None if inputs is None else str(inputs),
        }
        self._send(request)
        if prepare:
            self._send({"do": "prepare"})

    def prepared(self) -> int | None:
        """Waits until the runtime is imported. Returns the memory in bytes that the process has then."""
        return self._receive("importing the runtime", START_SECONDS)["memory_before_bytes"]

    def load(self) -> float:
        """Returns how long loading took, in milliseconds."""
        return float(self._ask("loading", START_SECONDS, do="load")["load_ms"])

    def warm(self) -> tuple[float, float]:
        """Returns the time of the first run and that of a later one, in milliseconds."""
        found = self._ask("its first runs", START_SECONDS, do="warm")
        return float(found["first_ms"]), float(found["typical_ms"])

    def run(self, count: int) -> Round:
        """Returns the times of so many runs."""
        found = self._ask("running", do="run", count=count)
        return Round(found["ms"], found["interrupted"])

    def peak_bytes(self) -> int | None:
        """Returns the most memory that the process has had."""
        return self._ask("running", do="memory")["peak_memory_bytes"]

    def predict(self, inputs: Path, ends: Sequence[dict[str, Any]]) -> np.ndarray:
        """Returns answers [n, ...] for inputs [n, ...] in a file; `ends` are input and output of the record."""
        outputs = inputs.with_name("answers.npy")
        scaling = [{"standardization": end.get("standardization")} for end in ends]  # A vocabulary may be long.
        self._ask("predicting", do="predict", inputs=str(inputs), outputs=str(outputs), ends=scaling)
        return np.load(outputs, allow_pickle=False)

    def profile(self) -> dict[str, Any]:
        """Returns the record of a profile by operators."""
        return self._ask("profiling", START_SECONDS, do="profile")["profile"]

    def judge(self, target: str) -> dict[str, Any]:
        """Returns the record of what a target makes of the artefact."""
        return self._ask("judging", START_SECONDS, do="judge", target=target)["judgement"]

    def close(self) -> None:
        """Ends the process, whatever it is doing, and those that it has started."""
        if self._process.returncode is None:
            self._end_session()
        self._process.wait()
        for stream in (self._requests, self._answers, self._said):
            stream.close()

    def _ask(self, doing: str, seconds: float = 0.0, **request: Any) -> dict[str, Any]:
        self._send(request)
        return self._receive(doing, seconds or self.seconds)

    def _send(self, request: dict[str, Any]) -> None:
        """Writes a request; that a process has gone is told when its answer is missing."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(request).encode() + b"\n")

    def _receive(self, doing: str, seconds: float) -> dict[str, Any]:
        answer = json.loads(self._line(doing, seconds))
        if "failure" in answer:
            raise CellError(str(answer["failure"]))
        return answer

    def _line(self, doing: str, seconds: float) -> bytes:
        answers = self._answers.fileno()
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            has_ended = self._has_ended()  # Asked before: what it said until then is still read.
            left = deadline - time.monotonic()
            if poll.poll(0.0 if has_ended else max(0.0, min(left, LOOK_SECONDS)) * 1000.0):
                part = os.read(answers, 2**16)
                has_ended = not part
                self._rest += part
            elif left <= 0 and not has_ended:
                raise CellError(f"{doing} took longer than {seconds:.0f} s and was given up")
            if has_ended and b"\n" not in self._rest:
                raise CellError(f"{doing}: {self._ended()}")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _has_ended(self) -> bool:
        """Returns whether the process has ended; its answers have no end while a child of it holds them open."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, options) is not None

    def _end_session(self) -> None:
        """Kills the process and all that it has started. It is not reaped yet, so its number is no other's."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ended(self) -> str:
        """Returns how the process ended, with the last thing that it said."""
        deadline = time.monotonic() + START_SECONDS
        while not self._has_ended():  # Its answers end a moment before it does: a crash may write a core file.
            if time.monotonic() > deadline:
                return "the process closed its answers"
            time.sleep(0.01)
        if self._process.returncode is None:
            self._end_session()
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", errors="replace").strip().splitlines()
        said = f" ({lines[-1].strip()[:300]})" if lines else ""
        if code < 0:
            return f"the runtime crashed with {signal_name(-code)}{said}"
        return f"the process ended with exit code {code}{said}"


def signal_name(number: int) -> str:
    """Returns for example "SIGABRT"."""
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")


def _environment() -> dict[str, str]:
    package = str(Path(__file__).resolve().parents[2])  # The worker finds this very package, installed or not.
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path}
