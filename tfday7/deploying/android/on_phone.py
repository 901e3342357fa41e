"""Measures a model on an attached phone, and compares its answers there where that is possible.

Time is taken by TensorFlow Lite's own `benchmark_model`, which the user has put onto the phone. Answers need a program
that feeds the model and reads what it gives. A phone without an app has none, unless Python and a runtime are there;
where they are not, parity is unknown, and the record says why.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.core.errors import UserError
from tfday7.deploying import figures
from tfday7.deploying.android.adb import AdbError, Phone, find
from tfday7.deploying.connection import printable

if TYPE_CHECKING:
    from tfday7.deploying.bundle import Bundle

ROOT = "/data/local/tmp"
BENCHMARK = f"{ROOT}/benchmark_model"
MIN_RUNS, WARMUP_RUNS = 50, 10
# Each line of newer builds starts with "INFO: ".
_COUNT = re.compile(r"^(?:INFO: )?count=(\d+)\b(.*)$", re.MULTILINE)
_FIGURE = re.compile(r"\b([a-z0-9]+)=([0-9.e+]+)")
_INIT = re.compile(r"^(?:INFO: )?Inference timings in us: Init: ([0-9.]+),", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class OnPhone:
    """What a phone said.

    Attributes:
        phone: its model, Android release and processor; None when there is no phone.
        rows: a row of benchmark.json for each number of threads.
        parity: as run_model.py's `check` gives it; None where it could not be measured.
        notes: what could not be done, and why.
    """

    phone: dict[str, Any] | None
    rows: list[dict[str, Any]]
    parity: dict[str, Any] | None
    notes: list[str]


def measure(
    bundle: Bundle, name: str, threads: Sequence[int], seconds: float, timeout_seconds: float, say: Callable[[str], Any]
) -> OnPhone:
    """Measures a bundle's model on the phone that is attached.

    Args:
        bundle: what is copied to the phone, and removed from it in the end.
        name: of a folder on the phone, from `rendering.identifier`.
        threads: numbers of CPU threads, one measurement each.
        seconds: how long to measure each.
        timeout_seconds: for each call of adb, beyond that.
        say: called with what happens.
    """
    found = find(timeout_seconds)
    if isinstance(found, str):
        return OnPhone(None, [], None, [found, "parity on the device is unknown: there was none"])
    remote = f"{ROOT}/tfday7/{name}"
    try:
        described = _describe(found)
    except AdbError as error:
        return OnPhone(None, [], None, [f"the Android device cannot be used: {error}"])
    say(f"measuring on {described['name']}")
    rows: list[dict[str, Any]] = []
    parity, notes = None, []
    try:
        found.shell("mkdir", "-p", remote)
        found.push(sorted(path for path in bundle.folder.iterdir() if path.is_file()), remote)
        rows, benchmark_notes = _benchmark(found, bundle, remote, described, threads, seconds)
        parity, parity_notes = _parity(found, remote)
        notes = benchmark_notes + parity_notes
    except AdbError as error:
        notes = [f"nothing was measured: the model cannot be copied to the Android device: {error}"]
    finally:
        cleaning_notes = _remove(found, remote)
    return OnPhone(described, [{**row, "parity": parity} for row in rows], parity, notes + cleaning_notes)


def _describe(phone: Phone) -> dict[str, Any]:
    names = {"model": "ro.product.model", "release": "ro.build.version.release", "abi": "ro.product.cpu.abi"}
    found = {key: printable(phone.property(name))[:80] for key, name in names.items()}
    sdk = phone.property("ro.build.version.sdk")
    label = f"{found['model'] or phone.serial} (Android {found['release'] or '?'}, {found['abi'] or '?'})"
    return {"name": label, **found, "serial": phone.serial, "sdk": int(sdk) if sdk.isdecimal() else None}


def _benchmark(
    phone: Phone, bundle: Bundle, remote: str, described: dict[str, Any], threads: Sequence[int], seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    try:
        if not _has(phone, BENCHMARK):
            return [], [f"latency is unknown: {BENCHMARK} is not on the device (README.md says where to get it)"]
        for count in threads:
            words = [
                BENCHMARK,
                f"--graph={remote}/{bundle.spec['model']}",
                f"--num_threads={count}",
                f"--num_runs={MIN_RUNS}",
                f"--warmup_runs={WARMUP_RUNS}",
                f"--min_secs={seconds:g}",
                f"--max_secs={max(seconds, 1.0) + phone.timeout_seconds:g}",
            ]
            output = phone.shell(*words, seconds=2 * seconds)
            rows.append(_row(bundle, described, count, parse(output)))
    except AdbError as error:
        return rows, [f"latency is unknown: benchmark_model failed: {error}"]
    return rows, []


def parse(output: str) -> dict[str, float]:
    """Returns the figures of benchmark_model's last measurement: count, and in microseconds avg, min, max, median...

    Raises:
        AdbError: it printed none.
    """
    found, init = _COUNT.findall(output), _INIT.findall(output)
    try:
        timings = {key: float(value) for key, value in _FIGURE.findall(found[-1][1])} if found else {}
        timings |= {"count": float(found[-1][0])} if found else {}
        timings |= {"init": float(init[-1])} if init else {}
    except ValueError as error:
        raise AdbError(f"it printed no timings ({error})") from error
    if "avg" not in timings:
        raise AdbError("it printed no timings")
    return timings


def _row(bundle: Bundle, phone: dict[str, Any], threads: int, timings: dict[str, float]) -> dict[str, Any]:
    median = timings.get("median")  # Newer builds print it; a mean is no percentile, so it is not put in its place.
    return {
        "artefact": bundle.spec["name"],
        "file": Path(str(bundle.artefact.path)).name,
        "runtime": "benchmark_model",
        "runtime_version": None,
        "device": phone["name"],
        "threads": threads,
        "batch_size": 1,
        "latency_ms": {"p50": None if median is None else median / 1000.0, "p90": None, "p99": None},
        "mean_ms": timings["avg"] / 1000.0,
        "runs": int(timings["count"]),
        "load_ms": timings["init"] / 1000.0 if "init" in timings else None,
        "peak_memory_bytes": None,
        "size_bytes": bundle.spec["size_bytes"],
        "metric": None,
        "machine": phone,
    }


def _parity(phone: Phone, remote: str) -> tuple[dict[str, Any] | None, list[str]]:
    unknown = "parity on the device is unknown: "
    try:
        if not phone.script("command -v python3 || true").strip():
            reason = "nothing there runs the model (no python3 in adb's shell); ModelRunner in an app's test does"
            return None, [unknown + reason]
        # Exit code 3 says that the answers differ, which is a result and no failure.
        output = phone.script('cd "$1" && python3 run_model.py check 2>&1 || true', remote)
    except AdbError as error:
        return None, [unknown + str(error)]
    return _read_check(output, unknown)


def _read_check(output: str, unknown: str) -> tuple[dict[str, Any] | None, list[str]]:
    lines = [printable(line) for line in output.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("{"):
            try:
                return figures.parity(figures.record(line, "the phone"), "the phone"), []
            except UserError as error:
                return None, [unknown + error.message]
    said = [line for line in lines if line.startswith("error: ")] or lines[-1:] or ["no output"]
    return None, [f"{unknown}run_model.py: {said[0][:300]}"]


def _has(phone: Phone, path: str) -> bool:
    return "yes" in phone.script('test -x "$1" && echo yes || true', path).split()


def _remove(phone: Phone, remote: str) -> list[str]:
    try:
        phone.shell("rm", "-rf", remote)
    except AdbError as error:
        return [f"{remote} stays on the device: {error}"]
    return []
