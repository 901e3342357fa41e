"""The rows of benchmark.json: what a cell's times become, and how new rows take the place of old ones.

{"hardware": {...}, "rows": [ROW...]}, and "profile" of the slowest cell. Beside what tells it apart (artefact, file,
runtime, device, threads, batch_size) a ROW holds

    latency_ms          {p50, p90, p99} of one run; all null where it failed, p99 null where there are under 100 runs
    runs, rounds        how many were measured
    throughput_per_second   examples: batch_size / p50
    interrupted_share   of the runs: the system took the processor away for another program. Percentiles include them,
                        what follows does not, where there are others; see `figures`
    latency_ratio       to the baseline, within each round; latency_ratio_range its 10th and 90th percentile over the
                        ratio_rounds rounds that had undisturbed runs of both; 0 where these were too few
    baseline            the cell that it is a ratio to: artefact, file, runtime, threads, batch_size
    latency_spread      (90th - 10th percentile of the rounds' medians) / their median
    latency_drift       difference between the medians of the first and the second half of the rounds, relative
    load_ms, first_ms   of loading, and of the first run
    peak_memory_bytes   of the whole process; memory_before_bytes when it had only the runtime
    size_bytes, gzip_bytes
    metric, metric_name on the test set, through this runtime; metric_note says why it is null
    inputs              what it ran on: "vectors", those beside the file, or "random"; inputs_note says why
    failure             why it could not be measured; empty when it was
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.benchmarking import devices, figures
from tfday7.benchmarking.cells import Cell
from tfday7.core import files
from tfday7.core.errors import UserError

if TYPE_CHECKING:
    from tfday7.benchmarking.measuring import Timed

KEY = ("artefact", "runtime", "device", "threads", "batch_size")
UNMEASURED: dict[str, float | None] = {"p50": None, "p90": None, "p99": None}
UNRELATED: dict[str, Any] = {"latency_ratio": None, "latency_ratio_range": None, "ratio_rounds": 0}


def row(timed: Timed, baseline: Timed, first: Cell) -> dict[str, Any]:
    """Returns the row of a cell.

    Args:
        timed: what came of it.
        baseline: what came of the baseline in the same rounds.
        first: the baseline.
    """
    cell = timed.cell
    fitting = not timed.failure and bool(timed.rounds)
    latencies = figures.latencies(timed.rounds) if fitting else dict(UNMEASURED)
    comparable = fitting and not baseline.failure and bool(baseline.rounds)
    return {
        **cell.describe(),
        "device": devices.name(cell.device, cell.runtime),
        "latency_ms": latencies,
        "runs": sum(len(each.ms) for each in timed.rounds) if fitting else 0,
        "rounds": len(timed.rounds) if fitting else 0,
        "throughput_per_second": _throughput(cell.batch_size, latencies["p50"]),
        **(figures.ratio(timed.rounds, baseline.rounds) if comparable else dict(UNRELATED)),
        "baseline": first.describe() if comparable else None,
        "interrupted_share": figures.interrupted_share(timed.rounds) if fitting else None,
        "latency_spread": figures.spread(timed.rounds) if fitting else None,
        "latency_drift": figures.drift(timed.rounds) if fitting else None,
        "load_ms": _rounded(timed.load_ms),
        "first_ms": _rounded(timed.first_ms),
        "peak_memory_bytes": timed.peak_memory_bytes,
        "memory_before_bytes": timed.memory_before_bytes,
        "size_bytes": cell.subject.size_bytes,
        "gzip_bytes": cell.subject.gzip_bytes,
        "metric": None,
        "metric_name": None,
        "failure": timed.failure,
    }


def merge(
    path: Path,
    rows: list[dict[str, Any]],
    hardware: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
) -> None:
    """Puts rows into a benchmark.json, each in the place of the one that measured the same; all else stays.

    Args:
        path: may not exist yet.
        rows: have artefact, runtime, device, threads and batch_size at least, and `file` where two artefacts of one
            name are told apart by it.
        hardware: of the machine that writes; None leaves what is there, for rows of another device.
        profile: of the slowest cell; None leaves what is there.

    Raises:
        UserError: what is there is damaged, or the folder cannot be written.
    """
    record = read(path)
    kept: list[dict[str, Any]] = record["rows"]
    for new in rows:
        place = next((i for i, old in enumerate(kept) if _same(old, new)), len(kept))
        kept[place:] = [new, *(old for old in kept[place:] if not _same(old, new))]
    given = {"hardware": hardware, "profile": profile}
    files.write_json(path, {**record, **{name: value for name, value in given.items() if value is not None}})


def read(path: Path) -> dict[str, Any]:
    """Returns a benchmark.json, with no rows where there is none yet. Raises UserError when it is damaged."""
    record = files.read_json(path) if path.exists() else {"hardware": None, "rows": []}
    rows = record.get("rows") if isinstance(record, dict) else None
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise UserError(f"{path}: not a record of a benchmark", "move it away, or choose another place with --output")
    return record


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Returns whether two rows measure the same. One without `file`, as earlier versions wrote, may be any file."""
    files_known = old.get("file") is None or new.get("file") is None or old["file"] == new["file"]
    return files_known and all(old.get(name) == new.get(name) for name in KEY)


def _throughput(batch_size: int, p50: float | None) -> float | None:
    return round(batch_size / p50 * 1000.0, 2) if p50 else None


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
