"""A benchmark from the settings to the record: what to measure, the measurement, accuracy, the slowest's profile."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7 import runtimes
from tfday7.benchmarking import devices, measuring, process, rows, subjects
from tfday7.benchmarking.accuracy import Accuracy, Score
from tfday7.benchmarking.cells import Cell, baseline, cells
from tfday7.benchmarking.config import BenchmarkConfig, check_installed
from tfday7.benchmarking.measuring import Limits, Say
from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.subjects import Subject
from tfday7.core import environment, files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import BENCHMARK, RunFolder
from tfday7.data.config import DataConfig
from tfday7.data.source import find_source
from tfday7.exporting import feeding, vectors
from tfday7.exporting.records import source_of

PROFILED = ("litert", "onnxruntime", "openvino")  # What `profiling` knows.


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be measured, checked.

    Attributes:
        cells: in the order of the rows.
        output: the benchmark.json that the rows go to.
        run: the run that it belongs to; None where it is another file.
        notes: what is left out, and why.
    """

    config: BenchmarkConfig
    subjects: list[Subject]
    cells: list[Cell]
    output: Path
    run: RunFolder | None
    notes: list[str]


def plan(config: BenchmarkConfig, run: RunFolder | None = None) -> Job:
    """Returns what the settings ask for; loads no runtime.

    Args:
        config: the settings.
        run: whose exports are measured, instead of `config.artefacts`.

    Raises:
        UserError: something is not there or not installed, a runtime takes none of the artefacts, there is no such
            device, or the output cannot be written.
    """
    found, notes = subjects.of_run(run) if run else subjects.find(config.paths())
    names = config.runtime_names()
    check_installed(names or [runtimes.default_runtime(subject.path) for subject in found])
    for name in names:
        if not any(runtimes.takes(name, subject.path) for subject in found):
            takes = ", ".join(suffix or "SavedModel folders" for suffix in runtimes.find(name).suffixes)
            raise UserError(f"--runtimes={config.runtimes}: {name} takes none of the artefacts", f"it takes {takes}")
    if config.data:
        find_source(DataConfig(data=config.data))
    listed = cells(found, names, config.thread_counts(), config.batches(), config.device)
    devices.check(config.device, list(dict.fromkeys(cell.runtime for cell in listed)))
    measured = list(dict.fromkeys(cell.subject for cell in listed))
    left_out = [subject.path.name for subject in found if subject not in measured]
    notes += [f"{name} is left out: none of these runtimes takes it" for name in left_out]
    cores = environment.hardware()["cores"]
    if cores and max(config.thread_counts()) > cores:
        notes.append(f"--threads={config.threads}: this machine gives {cores} cores; more threads have to share them")
    output, of_run = _output(config, run, found[0])
    files.check_writable(output.parent, "output")
    rows.read(output)
    return Job(config, measured, listed, output, of_run, notes)


def _output(config: BenchmarkConfig, run: RunFolder | None, first: Subject) -> tuple[Path, RunFolder | None]:
    """Returns the benchmark.json to write, and the run that it belongs to."""
    given = config.output_path()
    if given is not None:
        return given, None
    source = source_of(first.record.run, first.path.parent) if first.record else ""
    recorded = RunFolder(Path(source)) if source else None
    owner = run or (recorded if recorded and recorded.exists() else None)
    return (owner / BENCHMARK if owner else first.path.parent / BENCHMARK), owner


def benchmark(job: Job, say: Say = lambda key, **values: None) -> dict[str, Any]:
    """Measures, and puts the rows into `job.output`.

    Returns:
        {"hardware", "rows", "baseline", "repeatability", "profile", "notes", "path"}: of this measurement alone.

    Raises:
        UserError: nothing at all could be measured, or the output cannot be written; it is as it was before.
    """
    found, reasons = {}, {}
    for subject in job.subjects:
        found[subject], reasons[subject] = inputs(subject)
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        accuracy = Accuracy(job.config.data, Path(scratch), say)
        visit = accuracy.visit if job.config.metric else lambda timed, worker: None
        measured = measuring.measure(job.cells, found, Limits(job.config.seconds), say, visit)
        for row, cell in zip(measured, job.cells, strict=True):
            unasked = Score(note="" if row["failure"] else "not asked for")
            row.update(accuracy.scores.get((cell.subject, cell.runtime), unasked).to_json())
            row.update(inputs="random" if reasons[cell.subject] else "vectors", inputs_note=reasons[cell.subject])
        _check_any(measured)
        profile = _profile(job, measured, found, Path(scratch), say) if job.config.profile else None
    hardware = environment.hardware()
    rows.merge(job.output, measured, hardware, profile)
    return {
        "hardware": hardware,
        "rows": measured,
        "baseline": baseline(job.cells).describe(),
        "repeatability": repeatability(measured),
        "profile": profile,
        "notes": job.notes,
        "path": str(job.output),
    }


def inputs(subject: Subject) -> tuple[np.ndarray | None, str]:
    """Returns what to run an artefact on, as the file takes it, real-valued; or None, random ones, and the reason."""
    record = subject.record
    if record is None:
        return None, "there is no record beside the file"
    if not record.vectors:
        return None, "it was exported without test vectors"
    try:
        raw = vectors.read(subject.path.with_name(record.vectors)).raw
    except UserError as error:
        return None, error.message
    return feeding.standardized(feeding.divided(raw, record.input), record.input), ""


def repeatability(measured: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns how far two halves of the measurement differ; None where no row has two rounds.

    Returns:
        {"drift": the median over the rows of `latency_drift`, "largest_drift", "spread": likewise of
        `latency_spread`, "interrupted_share": of all runs, "rounds": the fewest of a row, "rows": how many}.
    """
    timed = [row for row in measured if row["latency_drift"] is not None]
    if not timed:
        return None
    drifts = [row["latency_drift"] for row in timed]
    interrupted = [row["interrupted_share"] * row["runs"] for row in timed]
    return {
        "drift": round(float(np.median(drifts)), 4),
        "largest_drift": max(drifts),
        "spread": round(float(np.median([row["latency_spread"] for row in timed])), 4),
        "interrupted_share": round(sum(interrupted) / sum(row["runs"] for row in timed), 4),
        "rounds": min(row["rounds"] for row in timed),
        "rows": len(timed),
    }


def _check_any(measured: Sequence[dict[str, Any]]) -> None:
    failures = [row["failure"] for row in measured if row["failure"]]
    if len(failures) == len(measured):
        raise UserError(f"nothing could be measured: {failures[0]}", "check the files, --runtimes and --batch_sizes")


def _takes_one(cell: Cell) -> bool:
    """Returns whether a cell's file takes one example at a time as well, as its record says; without one, yes."""
    record = cell.subject.record
    shape = record.input.get("shape") if record else None
    return not shape or shape[0] in (None, 1)


def _profile(
    job: Job, measured: Sequence[dict[str, Any]], found: dict[Subject, np.ndarray | None], scratch: Path, say: Say
) -> dict[str, Any] | None:
    """Returns the profile by operators of the cell that takes longest for an example, or why there is none.

    Where its runtime has no profiler, it is that of the slowest cell whose runtime has one, and `instead_of` names the
    slowest; None where no runtime has.
    """
    timed = [pair for pair in zip(measured, job.cells, strict=True) if not pair[0]["failure"]]
    timed.sort(key=lambda pair: pair[0]["latency_ms"]["p50"] / pair[1].batch_size)
    slowest = timed[-1][1]
    able = [cell for _, cell in timed if cell.runtime in PROFILED and cell.device != "gpu"]
    if not able:
        return None
    cell = able[-1]
    if cell.batch_size > 1 and _takes_one(cell):
        cell = dataclasses.replace(cell, batch_size=1)
    say("profiling", file=cell.subject.path.name, runtime=cell.runtime)
    instead_of = None if slowest in able else slowest.describe()
    about = {**cell.describe(), "instead_of": instead_of, "failure": ""}
    worker = process.Worker(cell, measuring.store(found[cell.subject], scratch / "profiled.npy"))
    try:
        worker.prepared()
        worker.load()
        return {**about, **worker.profile()}
    except CellError as error:
        return {**about, "failure": str(error)}
    finally:
        worker.close()
