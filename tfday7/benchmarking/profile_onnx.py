"""The profile of an `.onnx` file, by ONNX Runtime's own profiler: the nodes of the graph that it runs, after fusing."""

from __future__ import annotations

import collections
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking.acceleration.judgement import Remark
from tfday7.benchmarking.profiling import Profile, Row, rows_of
from tfday7.benchmarking.rounds import WARM_UP_ROUNDS, medians
from tfday7.core.errors import UserError

TIMED = "_kernel_time"  # Ends the name of the event that holds a node's own time.


def profile(path: Path, x: np.ndarray, threads: int) -> Profile:
    """See `profiling.profile`."""
    with tempfile.TemporaryDirectory(prefix="tfday7-") as folder:
        profiled = _session(path, threads, Path(folder) / "profile")
        plain = _session(path, threads, None)
        feed = {profiled.get_inputs()[0].name: x}
        runs = [lambda: plain.run(None, feed), lambda: profiled.run(None, feed)]
        (whole_ms, _), rounds = medians(runs)
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    rows, total = rows_of(_rows(events))
    return Profile("onnxruntime", rows, total, round(whole_ms, 5), rounds, notes=(Remark("profile.note.profiler"),))


def _rows(events: list[dict[str, Any]]) -> list[Row]:
    """Returns a row a node: the median of its times after the warm-up, in the order in which they first ran."""
    times: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(TIMED):
            node = name.removesuffix(TIMED)
            times[str(event["args"].get("op_name", "")), node].append(event["dur"] / 1000.0)  # Microseconds.
    return [Row(op, node, statistics.median(taken[WARM_UP_ROUNDS:] or taken)) for (op, node), taken in times.items()]


def _session(path: Path, threads: int, prefix: Path | None) -> Any:
    import onnxruntime

    from tfday7.runtimes.onnxruntime import session_options

    options = session_options(threads)
    if prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(prefix)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # Its exceptions share no base but Exception.
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UserError(f"{path}: ONNX Runtime cannot load it ({said})") from error
