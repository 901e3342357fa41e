"""The process that measures one cell: it loads the artefact, then runs it whenever the parent says so.

    python -m tfday7.benchmarking.worker PARENT

Lines of JSON go both ways: a request on stdin, one answer each on what was stdout. stdout itself becomes stderr, so
that nothing that native libraries print gets between them. The process has the memory figures of this one artefact in
this one runtime; it ends with its parent, whatever that dies of.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from tfday7 import runtimes
from tfday7.benchmarking.devices import WITHOUT_AMX
from tfday7.core import amx
from tfday7.core.errors import UserError
from tfday7.core.signals import end_with_parent
from tfday7.runtimes import Runner, openvino
from tfday7.runtimes.table import PACKAGES

MODULES = {"litert": "ai_edge_litert.interpreter"}  # What loads the native library, where it is not the package.
MIN_WARM_UPS, MAX_WARM_UPS, WARM_UP_SECONDS = 3, 200, 0.3
SETTLE_SECONDS = 0.005  # Before each round: the caches, and the core's clock, belonged to another process.
BATCH_BYTES = 2**22  # Inputs to run through in turn: they count as the process's memory, so not many.


class Measured:
    """What a worker holds: a request, and the runner once it is loaded.

    Args:
        request: path, runtime, threads, device, batch_size, and `inputs`: an .npy file with real inputs [n, ...] as the
            artefact takes them, or None for random ones.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.without_amx = request["device"] == WITHOUT_AMX
        if self.without_amx:
            amx.forbid()
        self.request = {**request, "device": "cpu"} if self.without_amx else request
        self.path = Path(request["path"])
        self.runner: Runner
        self.batches: list[np.ndarray]
        self.next = 0

    def prepare(self) -> dict[str, Any]:
        """Imports the runtime. Returns the memory that this takes."""
        _import(self.request["runtime"], self.path)
        reset_peak()
        return {"memory_before_bytes": peak_bytes()}

    def load(self) -> dict[str, Any]:
        """Loads the artefact. Returns how long that takes, in milliseconds."""
        settings = {name: self.request[name] for name in ("threads", "device", "batch_size")}
        started = time.perf_counter()
        self.runner = runtimes.open_artefact(self.path, self.request["runtime"], **settings)
        load_ms = (time.perf_counter() - started) * 1000.0
        if self.without_amx and amx.is_permitted():
            raise UserError(f"{self.request['runtime']} uses AMX all the same")
        self.batches = list(batches(self.runner, self.request["inputs"]))
        return {"load_ms": load_ms}

    def warm(self) -> dict[str, Any]:
        """Runs until caches, allocators and compilers have settled. Returns the first run's time and a later one's."""
        times = [self._time()]
        started = time.perf_counter()
        while len(times) < MIN_WARM_UPS or (
            len(times) < MAX_WARM_UPS and time.perf_counter() - started < WARM_UP_SECONDS
        ):
            times.append(self._time())
        gc.disable()
        return {"first_ms": times[0], "typical_ms": statistics.median(times[len(times) // 2 :])}

    def run(self, count: int) -> dict[str, Any]:
        """Runs so many times, after some that are not recorded.

        Returns each run's time in milliseconds, and whether the system took the processor away from it.
        """
        started = time.perf_counter()
        self._time()
        while time.perf_counter() - started < SETTLE_SECONDS:
            self._time()
        times, interruptions = [], [_interruptions()]
        for _ in range(count):
            times.append(round(self._time(), 6))
            interruptions.append(_interruptions())
        return {"ms": times, "interrupted": [a != b for a, b in itertools.pairwise(interruptions)]}

    def memory(self) -> dict[str, Any]:
        """Returns the most memory that the process ever had since its runtime was imported."""
        return {"peak_memory_bytes": peak_bytes()}

    def predict(self, inputs: str, outputs: str, ends: list[dict[str, Any]]) -> dict[str, Any]:
        """Writes the answers for inputs.

        Args:
            inputs: .npy file with inputs as the data set has them.
            outputs: .npy file to write.
            ends: input and output of the artefact's record.
        """
        from tfday7.exporting import feeding

        x = np.load(inputs, allow_pickle=False)
        answers = self.runner.predict(feeding.standardized(x, ends[0]))
        np.save(outputs, feeding.restored(answers, ends[1]), allow_pickle=False)
        return {}

    def profile(self) -> dict[str, Any]:
        """Returns the time of each operator, as `benchmarking.profiling` records it."""
        profiling = importlib.import_module("tfday7.benchmarking.profiling")
        found = profiling.profile(self.path, self.request["runtime"], self.batches[0], self.request["threads"])
        return {"profile": found.to_json()}

    def judge(self, target: str) -> dict[str, Any]:
        """Returns what a target will and will not accelerate, as `benchmarking.acceleration` records it."""
        from tfday7.benchmarking.acceleration import TARGETS
        from tfday7.exporting import tflite_file

        summary = tflite_file.read(self.path) if self.path.suffix == ".tflite" else None
        return {"judgement": TARGETS.get(target)(self.path, summary).to_json()}

    def _time(self) -> float:
        self.next = (self.next + 1) % len(self.batches)
        self.runner.feed(self.batches[self.next])
        before = time.perf_counter_ns()
        self.runner.run()
        return (time.perf_counter_ns() - before) / 1e6


def batches(runner: Runner, inputs: str | None) -> Iterator[np.ndarray]:
    """Yields batches [batch_size, ...] of the artefact's own numbers, to be run in turn.

    Args:
        runner: a loaded artefact.
        inputs: .npy file with real inputs, or None for random ones of its shape.

    Raises:
        UserError: the inputs have another shape than the artefact takes, or it leaves sizes open.
    """
    size, shape = runner.batch_size, runner.input.shape[1:]
    x = random_inputs(runner) if inputs is None else np.load(inputs, allow_pickle=False)
    if len(shape) != x.ndim - 1 or any(own not in (None, given) for own, given in zip(shape, x.shape[1:], strict=True)):
        raise UserError(f"{runner.path}: takes inputs of {shape}, but its test vectors are of {x.shape[1:]}")
    numbers = runner.quantize(x)
    count = max(1, min(-(-len(x) // size), BATCH_BYTES // max(1, size * numbers[0].nbytes)))
    for start in range(0, count * size, size):
        yield np.ascontiguousarray(numbers[np.arange(start, start + size) % len(x)])


def random_inputs(runner: Runner) -> np.ndarray:
    """Returns 4 inputs from a fixed seed: normal where numbers are real, else 0 and 1, which every vocabulary has."""
    shape = runner.input.shape[1:]
    sizes = [size for size in shape if size is not None]
    if len(sizes) != len(shape):
        hint = "export the model with tfday7, which writes inputs beside it"
        raise UserError(f"{runner.path}: takes inputs of {shape}, of which some sizes are open", hint)
    generator = np.random.default_rng(0)
    real = runner.input.scale is not None or np.dtype(runner.input.dtype).kind == "f"
    return (generator.normal(size=(4, *sizes)) if real else generator.integers(0, 2, (4, *sizes))).astype(np.float32)


def peak_bytes() -> int | None:
    """Returns the most memory that this process has had, in bytes; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else None


def reset_peak() -> None:
    """Makes the peak the memory of now: what an import needs for a moment is not the artefact's."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # The kernel may not let us; the peak then includes the import's, and the difference is too small.


def _interruptions() -> int:
    """Returns how often the system has taken the processor away from this process, for another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _import(runtime: str, path: Path) -> None:
    if PACKAGES[runtime][0] == "tensorflow":
        from tfday7.core.frameworks import keras3, tf

        hasattr(keras3 if path.suffix == ".keras" else tf, "Variable")  # Loads them; asking for anything does.
        return
    if runtime == "openvino":
        openvino.load()
    else:
        importlib.import_module(MODULES.get(runtime, PACKAGES[runtime][0]))


def answer(measured: Measured, request: dict[str, Any]) -> dict[str, Any]:
    """Returns the answer to one request; {"failure": reason} where it cannot be done."""
    operation = str(request.pop("do"))
    try:
        return getattr(measured, operation)(**request)
    except UserError as error:
        return {"failure": error.message}
    except Exception as error:  # noqa: BLE001 - runtimes raise what they like, and the row says what it was.
        said = (str(error).strip().splitlines() or [""])[0][:300]
        return {"failure": f"{operation}: {type(error).__name__}: {said}"}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answers requests until there are no more: the first says what to measure, each other one what to do."""
    first = requests.readline()
    if not first:
        return
    measured = Measured(json.loads(first))
    for line in requests:
        answers.write(json.dumps(answer(measured, json.loads(line))) + "\n")
        answers.flush()


def main() -> None:
    """Serves the parent that started this process."""
    end_with_parent(int(sys.argv[1]))
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # See `openvino.load`: here for all.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
