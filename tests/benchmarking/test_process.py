"""Workers that crash, hang or refuse: each is a reason in words, and none of them outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT, run_python

from tfday7.benchmarking import measuring
from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.measuring import Limits
from tfday7.benchmarking.process import CellError, Worker, signal_name
from tfday7.benchmarking.subjects import Subject

COMMAND = (sys.executable, str(Path(__file__).with_name("breaking_worker.py")))
QUICK = Limits(seconds=0.2, max_rounds=20)


def cell(name: str) -> Cell:
    return Cell(Subject(Path(f"{name}.tflite"), name), "breaking")


def measured(*names: str, seconds: float = 60.0) -> list[dict[str, object]]:
    listed = [cell(name) for name in names]
    inputs = {each.subject: None for each in listed}
    return measuring.measure(listed, inputs, QUICK, command=COMMAND, seconds=seconds)


def test_a_crash_is_a_row_with_a_reason_and_the_others_are_measured() -> None:
    rows = measured("works", "abort on load", "abort on run", "exit on first", "raise on load", "refuse on load")
    assert [row["failure"] for row in rows] == [
        "",
        "loading: the runtime crashed with SIGABRT (free(): invalid pointer)",
        "running: the runtime crashed with SIGABRT (free(): invalid pointer)",
        "its first runs: the process ended with exit code 7 (a native library says hello on stdout)",
        "load: RuntimeError: something native",
        "made for batches of 1",
    ]
    assert rows[0]["rounds"] == 20
    assert all(row["latency_ms"] == {"p50": None, "p90": None, "p99": None} for row in rows[1:])


def test_a_worker_that_hangs_is_given_up() -> None:
    started = time.monotonic()
    works, hangs = measured("works", "hang on run", seconds=1.0)
    assert time.monotonic() - started < 30
    assert hangs["failure"] == "running took longer than 1 s and was given up"
    assert works["failure"] == ""


def test_what_a_library_prints_on_stdout_disturbs_nothing() -> None:
    worker = Worker(cell("works"), command=COMMAND)
    try:
        worker.prepared()
        assert worker.load() > 0
        first_ms, typical_ms = worker.warm()
        assert first_ms >= 1.0
        assert typical_ms >= 1.0  # It sleeps for a millisecond.
        assert all(taken >= 1.0 for taken in worker.run(5).ms)
    finally:
        worker.close()


def test_closing_ends_the_process_whatever_it_does() -> None:
    worker = Worker(cell("hang on load"), command=COMMAND, seconds=0.5)
    worker.prepared()
    process = worker._process
    worker._send({"do": "load"})
    with pytest.raises(CellError, match="given up"):
        worker._receive("loading", 0.5)
    worker.close()
    assert process.returncode == -signal.SIGKILL
    worker.close()  # Once more does nothing.


@pytest.mark.parametrize(("name", "failure"), [("fork on load", ""), ("fork and abort on load", "SIGABRT")])
def test_what_a_worker_has_started_ends_with_it(name: str, failure: str) -> None:
    worker = Worker(cell(name), command=COMMAND)
    number = worker._process.pid
    try:
        worker.prepared()
        if failure:
            with pytest.raises(CellError, match=failure):
                worker.load()
        else:
            worker.load()
            assert len(_session(number)) == 2
    finally:
        worker.close()
    deadline = time.monotonic() + 20
    while _session(number):
        assert time.monotonic() < deadline, "a child outlived its worker"
        time.sleep(0.05)


def test_openvino_reports_to_nobody() -> None:
    code = (
        "import sys\n"
        "from tfday7.runtimes import openvino\n"
        "package = openvino.load()\n"
        "import openvino.tools.ovc\n"
        "print(sys.modules['openvino_telemetry'], [n for n in sys.modules if n.startswith('openvino_telemetry.')])\n"
        "print(package.Core().available_devices)\n"
    )
    ended = run_python("-c", code)
    assert ended.out.startswith("None []\n['CPU'"), ended.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_parent_even_if_that_is_killed(number: signal.Signals) -> None:
    code = (
        "import sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from benchmarking.test_process import *\n"
        "worker = Worker(cell('hang on load'), command=COMMAND)\n"
        "worker.prepared()\n"
        "worker._send({'do': 'load'})\n"
        "print(worker._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT / "tests")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _is_running(child)
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while _is_running(child):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def test_signals_have_their_names() -> None:
    assert signal_name(signal.SIGSEGV) == "SIGSEGV"
    assert signal_name(60) == "signal 60"


def _session(leader: int) -> list[int]:
    """Returns the running processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(entry.parent.name))
    return found


def _is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
