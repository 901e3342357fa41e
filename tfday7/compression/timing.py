"""Times candidates' files: here in interleaved rounds, or by whoever does it on another device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfday7.compression.records import BASELINE, Candidate
from tfday7.exporting import feeding

if TYPE_CHECKING:
    from tfday7.compression.compressing import Compression

TIMED_EXAMPLES = 64


class Timer(Protocol):
    """Times files on another device, which has a `name`: rows as of `benchmarking.measuring`, by the names of files."""

    name: str

    def __call__(self, paths: Mapping[str, Path], seconds: float) -> dict[str, dict[str, Any]]:
        """Returns a row for each file; the first one is what the others are compared with."""


def timed(job: Compression, candidates: Sequence[Candidate], seconds: float) -> list[Candidate]:
    """Returns the candidates with latency and memory, all measured in the same rounds, one thread, one example.

    The given model's own file is what the others are compared with, whatever became of it.
    """
    paths = {one.name: Path(one.path) for one in candidates if one.path and (not one.failure or one.name == BASELINE)}
    if not paths:
        return list(candidates)
    found = _timed_here(job, paths, candidates, seconds) if job.timer is None else job.timer(paths, seconds)
    return [_with_row(one, found[one.name]) if one.name in found else one for one in candidates]


def _timed_here(
    job: Compression, paths: Mapping[str, Path], candidates: Sequence[Candidate], seconds: float
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
    rows = measuring.measure(list(cells.values()), inputs, measuring.Limits(seconds=seconds))
    return dict(zip(cells, rows, strict=True))


def _with_row(one: Candidate, row: dict[str, Any]) -> Candidate:
    notes = [*one.notes, f"not timed: {row['failure']}"] if row["failure"] else one.notes
    return dataclasses.replace(
        one,
        runtime=row["runtime"],
        latency_ms=row["latency_ms"]["p50"],
        latency_ratio=row["latency_ratio"],
        latency_spread=row["latency_ratio_range"],
        peak_memory_bytes=row["peak_memory_bytes"],
        notes=notes,
    )
