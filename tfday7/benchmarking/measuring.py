"""Measures cells in interleaved rounds: what slows the machine down slows all of them down.

Every cell has a process of its own, which waits in memory while another one runs. Round after round each of them runs a
few times, and each round begins with another cell. So a cell's times are spread over the whole measurement, and its
ratio to the baseline is taken within each round. Only ratios mean much elsewhere; the times belong to this machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfday7.benchmarking import devices, process
from tfday7.benchmarking.cells import Cell, baseline, groups
from tfday7.benchmarking.figures import Round
from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.rows import row
from tfday7.benchmarking.subjects import Subject
from tfday7.exporting import feeding
from tfday7.exporting.records import Artefact

QUICK_SECONDS = 3.0
Say = Callable[..., Any]  # Told what is done: the id of a sentence, and its values.


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a measurement ends.

    Attributes:
        seconds: what a cell may take. The rounds end when all cells together have had theirs, but not before
            `min_rounds`, unless `patience` times as long would not be enough for them.
        max_rounds: of which each holds at most `max_runs` runs.
        least_rounds: what is done however long it takes.
    """

    seconds: float = 3.0
    min_rounds: int = 20
    max_rounds: int = 60
    max_runs: int = 500
    patience: float = 4.0
    least_rounds: int = 3

    def runs(self, typical_ms: float) -> int:
        """Returns how many runs of a cell make a round."""
        fitting = self.seconds / self.max_rounds * 1000.0 / max(typical_ms, 1e-6)
        return max(1, min(self.max_runs, int(fitting)))

    def are_over(self, rounds: int, seconds: float, cells: int) -> bool:
        """Returns whether so many rounds, which took so long for so many cells, are enough."""
        enough = self.seconds * cells
        if rounds >= self.max_rounds or (rounds >= self.min_rounds and seconds >= enough):
            return True
        return rounds >= self.least_rounds and seconds >= self.patience * enough


@dataclasses.dataclass
class Timed:
    """What came of a cell.

    Attributes:
        failure: why it could not be measured; empty when it was.
        rounds: its times.
        load_ms, first_ms: of loading, and of the first run, which is when some runtimes compile.
        memory_before_bytes: of the process when the runtime was imported; `peak_memory_bytes` of the whole measurement.
    """

    cell: Cell
    failure: str = ""
    rounds: list[Round] = dataclasses.field(default_factory=list)
    load_ms: float | None = None
    first_ms: float | None = None
    memory_before_bytes: int | None = None
    peak_memory_bytes: int | None = None
    runs: int = 1  # In a round.


class Worker(Protocol):
    """What measures a cell; see `process.Worker`."""

    def prepared(self) -> int | None: ...
    def load(self) -> float: ...
    def warm(self) -> tuple[float, float]: ...
    def run(self, count: int) -> Round: ...
    def peak_bytes(self) -> int | None: ...
    def predict(self, inputs: Path, ends: Sequence[dict[str, Any]]) -> np.ndarray: ...
    def close(self) -> None: ...


Open = Callable[[Cell], Worker]
Visit = Callable[[Timed, Any], None]


def measure(
    listed: Sequence[Cell],
    inputs: Mapping[Subject, np.ndarray | None],
    limits: Limits = Limits(),
    say: Say = lambda key, **values: None,
    visit: Visit = lambda timed, worker: None,
    command: Sequence[str] = process.COMMAND,
    seconds: float = process.ANSWER_SECONDS,
) -> list[dict[str, Any]]:
    """Returns a row of benchmark.json for each cell.

    Args:
        listed: the cells; which of them is the baseline, `cells.baseline` says.
        inputs: of each artefact, real-valued [n, ...] as the file takes them; None for random ones.
        limits: when to end.
        say: told of progress.
        visit: called with each cell that was measured and its worker, before that ends.
        command: starts a worker.
        seconds: how long a worker may take for a round.
    """
    first = baseline(listed)
    with tempfile.TemporaryDirectory(prefix="tfday7-") as folder:
        stored = {subject: store(x, Path(folder) / f"{i}.npy") for i, (subject, x) in enumerate(inputs.items())}

        def open_worker(cell: Cell) -> Worker:
            return process.Worker(cell, stored[cell.subject], command, seconds)

        found = time_all(listed, first, open_worker, limits, say, visit)
    return [row(found[cell][0], found[cell][1], first) for cell in listed]


def quick(artefacts: Sequence[Artefact], x: np.ndarray) -> list[dict[str, Any]]:
    """Returns rows for the `.tflite` files among artefacts, in about three seconds: one thread, one example at a time.

    Args:
        artefacts: as they were exported; the accuracy in the rows is that of their parity.
        x: [n, ...] inputs as a data set has them.
    """
    made = [artefact for artefact in artefacts if artefact.path and artefact.format == "tflite"]
    if not made:
        return []
    subjects = [Subject(Path(str(a.path)), a.name, a, a.size_bytes, a.gzip_bytes) for a in made]
    inputs: dict[Subject, np.ndarray | None] = {
        subject: feeding.standardized(x, artefact.input) for subject, artefact in zip(subjects, made, strict=True)
    }
    limits = Limits(seconds=QUICK_SECONDS / len(made), patience=1.0)
    rows = measure([Cell(subject, "litert") for subject in subjects], inputs, limits)
    for found, artefact in zip(rows, made, strict=True):
        if artefact.parity:
            found.update(metric=artefact.parity.artefact_metric, metric_name=artefact.parity.metric)
    return rows


def time_all(
    listed: Sequence[Cell], first: Cell, open_worker: Open, limits: Limits, say: Say, visit: Visit
) -> dict[Cell, tuple[Timed, Timed]]:
    """Returns what came of each cell, with what came of the baseline in the same rounds."""
    found: dict[Cell, tuple[Timed, Timed]] = {}
    parts = groups(listed, first, devices.available_bytes())
    for number, group in enumerate(parts, start=1):
        say("group", number=number, groups=len(parts), cells=len(group))
        timed = time_group(group, open_worker, limits, say, lambda cell, worker: _visit_new(cell, worker, found, visit))
        for each in timed:
            found.setdefault(each.cell, (each, timed[0]))
    return found


def _visit_new(timed: Timed, worker: Any, found: Mapping[Cell, Any], visit: Visit) -> None:
    if timed.cell not in found:  # The baseline is in every group.
        visit(timed, worker)


def time_group(
    group: Sequence[Cell],
    open_worker: Open,
    limits: Limits,
    say: Say = lambda key, **values: None,
    visit: Visit = lambda timed, worker: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Timed]:
    """Returns what came of each cell of a group: rounds over all of them, each beginning with another one."""
    with contextlib.ExitStack() as stack:
        alive: list[tuple[Timed, Worker]] = []
        for cell in group:
            worker = open_worker(cell)
            stack.callback(worker.close)
            alive.append((Timed(cell), worker))
        everything = [timed for timed, _ in alive]
        alive = [pair for pair in alive if _succeeds(_prepare, pair)]  # All at once; but each loads alone.
        alive = [pair for pair in alive if _succeeds(_load, pair, limits)]
        started, number = clock(), 0
        while alive and not limits.are_over(number, clock() - started, len(alive)):
            alive = _round(alive, number)
            number += 1
        say("timed", rounds=number, cells=len(alive))
        for pair in [pair for pair in alive if _succeeds(_finish, pair)]:
            visit(*pair)
    return everything


def _round(alive: list[tuple[Timed, Worker]], number: int) -> list[tuple[Timed, Worker]]:
    """Runs one round. Returns the cells that are still able to run, in the order in which they were given."""
    start = number % len(alive)
    survived = {id(pair) for pair in alive[start:] + alive[:start] if _succeeds(_run, pair)}
    return [pair for pair in alive if id(pair) in survived]


def _prepare(timed: Timed, worker: Worker) -> None:
    timed.memory_before_bytes = worker.prepared()


def _load(timed: Timed, worker: Worker, limits: Limits) -> None:
    timed.load_ms = worker.load()
    timed.first_ms, typical_ms = worker.warm()
    timed.runs = limits.runs(typical_ms)


def _run(timed: Timed, worker: Worker) -> None:
    timed.rounds.append(worker.run(timed.runs))


def _finish(timed: Timed, worker: Worker) -> None:
    timed.peak_memory_bytes = worker.peak_bytes()


def _succeeds(action: Callable[..., None], pair: tuple[Timed, Worker], *more: Any) -> bool:
    """Does something with a cell. Returns whether it could be done; why not is noted."""
    timed, worker = pair
    try:
        action(timed, worker, *more)
    except CellError as error:
        timed.failure = str(error)
        worker.close()  # One that hangs would slow the others down.
        return False
    return True


def store(x: np.ndarray | None, path: Path) -> Path | None:
    """Writes inputs for workers, unless these are to make random ones themselves. Returns where they are."""
    if x is None:
        return None
    np.save(path, x, allow_pickle=False)
    return path
