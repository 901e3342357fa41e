"""Times candidates' files: here in interleaved rounds, or by whoever does it on another device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfday7.compression.records import NOT_FINITE, Candidate
from tfday7.exporting import feeding

if TYPE_CHECKING:
    from tfday7.compression.compressing import Compression

TIMED_EXAMPLES = 64
PATIENCE = 4.0  # As of `measuring.Limits`.
UNCOMPARED = "timed, but with nothing to compare it with: the float32 file could not be timed"


class Timer(Protocol):
    """Times files on another device, which has a `name`: rows as of `benchmarking.measuring`, by the names of files."""

    name: str

    def __call__(self, paths: Mapping[str, Path], seconds: float) -> dict[str, dict[str, Any]]:
        """Returns a row for each file; the first one is what the others are compared with."""


def timed(
    job: Compression, candidates: Sequence[Candidate], seconds: float, patience: float = PATIENCE
) -> list[Candidate]:
    """Returns the candidates with latency and memory, all measured in the same rounds, one thread, one example.

    The first one's file is what the others are compared with, whatever became of it; but no device takes a file that
    gives outputs that are not finite. Without the first one's, times are there and ratios are not.

    Args:
        job: says where, and on which data.
        candidates: those without a file, or with a failure, are not timed.
        seconds: for each file.
        patience: how many times as long it may take, for more rounds; see `measuring.Limits`.
    """
    first = candidates[0]
    comparable = job.timer is None or first.failure != NOT_FINITE
    paths = {
        one.name: Path(one.path)
        for one in candidates
        if one.path and (not one.failure or (one is first and comparable))
    }
    if not paths:
        return list(candidates)
    found = _timed_here(job, paths, candidates, seconds, patience) if job.timer is None else job.timer(paths, seconds)
    if first.name not in paths:
        found = {name: {**row, "latency_ratio": None, "latency_ratio_range": None} for name, row in found.items()}
    return [_with_row(one, found[one.name]) if one.name in found else one for one in candidates]


def _timed_here(
    job: Compression, paths: Mapping[str, Path], candidates: Sequence[Candidate], seconds: float, patience: float
) -> dict[str, dict[str, Any]]:
    from tfday7.benchmarking import measuring
    from tfday7.benchmarking.cells import Cell
    from tfday7.benchmarking.subjects import Subject
    from tfday7.exporting.records import read_artefact

    x, known = job.decides().x[:TIMED_EXAMPLES], {one.name: one for one in candidates}
    cells: dict[str, Cell] = {}
    inputs = {}
    for name, path in paths.items():
        artefact = read_artefact(path)
        subject = Subject(path, artefact.name, artefact, known[name].size_bytes, known[name].gzip_bytes)
        cells[name] = Cell(subject, job.runtime, device=job.device)
        inputs[subject] = feeding.standardized(x, artefact.input)
    rows = measuring.measure(list(cells.values()), inputs, measuring.Limits(seconds=seconds, patience=patience))
    return dict(zip(cells, rows, strict=True))


def _with_row(one: Candidate, row: dict[str, Any]) -> Candidate:
    said = f"not timed: {row['failure']}" if row["failure"] else UNCOMPARED if row["latency_ratio"] is None else ""
    notes = one.notes if not said or said in one.notes else [*one.notes, said]
    return dataclasses.replace(
        one,
        runtime=row["runtime"],
        latency_ms=row["latency_ms"]["p50"],
        latency_ratio=row["latency_ratio"],
        latency_spread=row["latency_ratio_range"],
        peak_memory_bytes=row["peak_memory_bytes"],
        notes=notes,
    )
