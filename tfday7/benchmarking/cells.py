"""What is measured: a cell is one artefact in one runtime, with so many threads and examples a run, on one device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfday7 import runtimes
from tfday7.benchmarking.subjects import Subject

MAX_ALIVE = 12  # Processes of one group, the baseline among them.
# What a loaded runtime takes, roughly: of a group's processes all wait in memory while one runs.
RUNTIME_BYTES = {"tensorflow": 900_000_000, "xla": 900_000_000}
OTHER_BYTES = 250_000_000
COPIES = 4  # Of the file: as bytes, unpacked, repacked for the kernels, and the activations.


@dataclasses.dataclass(frozen=True)
class Cell:
    """One row of the benchmark.

    Attributes:
        device: one of `devices.DEVICES`.
    """

    subject: Subject
    runtime: str
    threads: int = 1
    batch_size: int = 1
    device: str = "cpu"

    def describe(self) -> dict[str, Any]:
        """Returns what tells the cell apart, as plain JSON values."""
        return {
            "artefact": self.subject.name,
            "file": self.subject.path.name,
            "runtime": self.runtime,
            "threads": self.threads,
            "batch_size": self.batch_size,
        }


def cells(
    subjects: Sequence[Subject],
    names: Sequence[str],
    threads: Sequence[int],
    batch_sizes: Sequence[int],
    device: str = "cpu",
) -> list[Cell]:
    """Returns every combination whose runtime takes such a file.

    Args:
        subjects: what to measure.
        names: of runtimes; empty for the one that each file is made for.
    """
    return [
        Cell(subject, runtime, count, size, device)
        for subject in subjects
        for runtime in (names or [runtimes.default_runtime(subject.path)])
        if runtimes.takes(runtime, subject.path)
        for count in threads
        for size in batch_sizes
    ]


def baseline(listed: Sequence[Cell]) -> Cell:
    """Returns the cell that the others are compared with: float32, in the runtime that its file is made for.

    A `.tflite` file comes before others, and of each list what was named first; but one example a run, where that is
    measured at all.
    """

    def rank(cell: Cell) -> tuple[bool, ...]:
        record = cell.subject.record
        kind, suffix = (record.kind if record else ""), cell.subject.path.suffix
        own = cell.runtime == runtimes.default_runtime(cell.subject.path)
        return kind != "float32", suffix != ".tflite", not own, cell.batch_size != 1

    return min(listed, key=rank)  # The first of equals.


def groups(listed: Sequence[Cell], first: Cell, available_bytes: int | None) -> list[list[Cell]]:
    """Returns the cells in groups whose processes fit into memory together, the baseline first in each.

    Args:
        listed: all cells.
        first: the baseline.
        available_bytes: of memory; half of it is used. None where unknown.
    """
    budget = (available_bytes or 0) / 2
    found: list[list[Cell]] = []
    used = 0.0
    for cell in (cell for cell in listed if cell != first):
        full = len(found[-1]) == MAX_ALIVE if found else True
        if full or (available_bytes and used + need_bytes(cell) > budget):
            found.append([first])
            used = need_bytes(first)
        found[-1].append(cell)
        used += need_bytes(cell)
    return found or [[first]]


def need_bytes(cell: Cell) -> float:
    """Returns the memory that a cell's process will take, roughly."""
    return RUNTIME_BYTES.get(cell.runtime, OTHER_BYTES) + COPIES * (cell.subject.size_bytes or 0)
