"""Groups of small stand-in programs: output, logs, failures, restarts, signals, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import Interrupted
from tfday7.distribution.launching import local
from tfday7.distribution.launching.config import LaunchConfig
from tfday7.distribution.launching.local import Job, WorkerError
from tfday7.distribution.launching.processes import Member

# Each program knows its place; `index` is 0 for the chief.
PLACE = (
    "import json, os, signal, sys, time\n"
    "task = json.loads(os.environ['TF_CONFIG'])['task']\n"
    "index = task['index'] + (task['type'] == 'worker')\n"
)
SLEEP = "time.sleep(60)\n"


class Ran:
    """A group that has ended: what it showed, what was said of it, and what it raised."""

    def __init__(self) -> None:
        self.shown = b""
        self.said: list[str] = []
        self.error: Any = None
        self.seconds = 0.0


def run(code: str, log_dir: Path, during: Callable[[], None] | None = None, **settings: Any) -> Ran:
    """Runs a program in every process of a group, with `during` in a thread beside it."""
    config, ran = LaunchConfig(**{"grace_seconds": 60.0, **settings}), Ran()

    def write(lines: bytes) -> None:
        ran.shown += lines

    job = Job([sys.executable, "-c", PLACE + code], log_dir, config, write, ran.said.append,
              config.parameter_servers > 0)  # fmt: skip
    if during:
        threading.Thread(target=during, daemon=True).start()
    started = time.monotonic()
    try:
        local.run(job, lambda: local.members(config, False, os.environ))
    except (WorkerError, Interrupted) as error:
        ran.error = error
    ran.seconds = time.monotonic() - started
    return ran


def when(there: Path, do: Callable[[], None], count: int = 1) -> Callable[[], None]:
    """Returns what waits until a folder holds so many files, and then does something."""

    def wait() -> None:
        while len(list(there.glob("*.here"))) < count:
            time.sleep(0.02)
        do()

    return wait


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def gone(pids: Sequence[int], seconds: float = 10.0) -> bool:
    """Returns whether all of these processes have ended, after waiting for it."""
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_every_line_has_a_name_and_the_log_is_whole(tmp_path: Path) -> None:
    code = "print(f'hello {index}')\nprint('an error', file=sys.stderr)\nos.write(1, b'\\xff no end')"
    ran = run(code, tmp_path, workers=3)
    assert ran.error is None
    lines = ran.shown.split(b"\n")
    for index in range(3):
        for text in (b"hello %d" % index, b"an error", b"\xff no end"):
            assert b"[worker %d] %s" % (index, text) in lines
        whole = b"hello %d\nan error\n\xff no end" % index
        assert (tmp_path / f"worker_{index}.log").read_bytes() == whole
    assert len(lines) == 3 * 3 + 1


def test_lines_appear_while_the_process_runs_and_long_ones_do_not_block(tmp_path: Path) -> None:
    shown: list[bytes] = []
    code = PLACE + "print('first')\ntime.sleep(1.5)\nprint('x' * 300_000)"
    job = Job([sys.executable, "-c", code], tmp_path, LaunchConfig(workers=1), shown.append)
    early: list[bool] = []
    timer = threading.Timer(1.0, lambda: early.append(b"first" in b"".join(shown)))
    timer.start()
    local.run(job, lambda: local.members(job.config, False, os.environ))
    timer.join()
    assert early == [True]
    assert (tmp_path / "worker_0.log").read_bytes() == b"first\n" + b"x" * 300_000 + b"\n"
    assert b"".join(shown).replace(b"[worker 0] ", b"").replace(b"\n", b"").count(b"x") == 300_000


def test_the_first_failure_stops_the_others_and_gives_the_exit_code(tmp_path: Path) -> None:
    code = "print('line 1\\nline 2')\nif index == 1: print('no data'); sys.exit(7)\n" + SLEEP
    ran = run(code, tmp_path, workers=3)
    assert isinstance(ran.error, WorkerError)
    assert ran.error.exit_code == 7
    assert ran.error.message == "worker 1 ended with exit code 7; it said at last:\n    line 1\n    line 2\n    no data"
    assert str(tmp_path / "worker_1.log") in ran.error.hint
    assert ran.said == ["worker 1 ended with exit code 7: stopping worker 0, worker 2"]
    assert ran.seconds < 30  # They end by SIGTERM, before the grace period is over.


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    code = (
        "if index == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"    open({str(tmp_path)!r} + '/0.here', 'w').close()\n"
        "    time.sleep(60)\n"
        f"while not os.path.exists({str(tmp_path)!r} + '/0.here'): time.sleep(0.02)\n"
        "sys.exit(3)"
    )
    ran = run(code, tmp_path, workers=2, grace_seconds=1.0)
    assert ran.error.exit_code == 3
    assert ran.said[-1] == "killing worker 0 after 1 seconds"
    assert 1.0 <= ran.seconds < 20


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_death_by_a_signal_is_exit_code_1_and_named(tmp_path: Path, number: int, name: str) -> None:
    ran = run(f"if index: os.kill(os.getpid(), {int(number)})\n" + SLEEP, tmp_path)
    assert ran.error.exit_code == 1
    assert ran.error.message == f"worker 1 was killed by {name}; it said at last: nothing"


def test_the_cause_is_named_rather_than_who_lost_it() -> None:
    """Both ended between two looks: the one that lost another process is not the cause."""

    class Ended:
        def __init__(self, code: int | None) -> None:
            self.code = code

    def first(*codes: int | None) -> Any:
        ended: list[Any] = [Ended(code) for code in codes]
        found = local._first_failure(ended)
        return found and found.code

    assert first(75, 2) == 2
    assert first(75, 1, -9) == -9
    assert first(None, 75, 0) == 75
    assert first(None, 0) is None


def starts(folder: Path, ending: str) -> str:
    """Returns a program that counts its starts in a folder; `start` is the number of this one, from 1."""
    return (
        f"path = {str(folder)!r} + f'/starts{{index}}'\n"
        "open(path, 'a').write(os.environ['TF_CONFIG'] + '\\n')\n"
        "start = len(open(path).readlines())\n"
        f"print(f'start {{start}}')\n{ending}"
    )


@pytest.mark.parametrize("ending", ["sys.exit(75)", "sys.exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_group_starts_again_on_new_ports_and_succeeds(tmp_path: Path, ending: str) -> None:
    ran = run(starts(tmp_path, f"if index == 1 and start < 3: {ending}"), tmp_path, restarts=2)
    assert ran.error is None
    tried = [json.loads(line)["cluster"] for line in (tmp_path / "starts1").read_text().splitlines()]
    assert len(tried) == 3
    ports = {address for cluster in tried for addresses in cluster.values() for address in addresses}
    assert len(ports) > 2
    assert [sentence for sentence in ran.said if sentence.endswith("started again (2 of 2)")]
    again = "--- the group was started again ---\n"
    assert (tmp_path / "worker_1.log").read_text() == f"start 1\n{again}start 2\n{again}start 3\n"


@pytest.mark.parametrize("code", [2, 3, 143])
def test_a_mistake_or_a_gate_is_not_tried_again(tmp_path: Path, code: int) -> None:
    ran = run(starts(tmp_path, f"sys.exit({code})"), tmp_path, restarts=5, workers=1)
    assert ran.error.exit_code == code
    assert len((tmp_path / "starts0").read_text().splitlines()) == 1


def test_restarts_come_to_an_end(tmp_path: Path) -> None:
    ran = run(starts(tmp_path, "sys.exit(75)"), tmp_path, restarts=2, workers=1)
    assert ran.error.exit_code == 75
    assert len((tmp_path / "starts0").read_text().splitlines()) == 3


def test_parameter_servers_end_with_the_chief(tmp_path: Path) -> None:
    ran = run("if task['type'] != 'chief':\n    time.sleep(60)\n", tmp_path, workers=2, parameter_servers=1)
    assert ran.error is None
    assert ran.seconds < 20
    assert (tmp_path / "ps_0.log").exists()


def saving(folder: Path) -> str:
    """Returns a program that "saves a checkpoint" on a signal, which takes a moment, and ends as training does."""
    return (
        "def save(number, frame):\n"
        "    time.sleep(0.5)\n"
        f"    open(f'{folder}/{{index}}.saved', 'w').write(str(number))\n"
        "    sys.exit(128 + number)\n"
        "signal.signal(signal.SIGTERM, save); signal.signal(signal.SIGINT, save)\n"
        f"open(f'{folder}/{{index}}.here', 'w').close()\n" + SLEEP
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_passed_on_and_all_may_save(tmp_path: Path, number: int, code: int) -> None:
    during = when(tmp_path, lambda: os.kill(os.getpid(), number), count=2)
    ran = run(saving(tmp_path), tmp_path, during, restarts=3)
    assert isinstance(ran.error, Interrupted)
    assert ran.error.exit_code == code
    assert [(tmp_path / f"{index}.saved").read_text() for index in range(2)] == [str(int(number))] * 2
    assert ran.said == [f"{signal.Signals(number).name}: stopping worker 0, worker 1"]


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    code = f"signal.signal(signal.SIGINT, signal.SIG_IGN)\nopen(f'{tmp_path}/{{index}}.here', 'w').close()\n" + SLEEP
    ran = run(code, tmp_path, when(tmp_path, twice, count=2), grace_seconds=60.0)
    assert ran.error.exit_code == 130
    assert ran.seconds < 20


LAUNCHER = """
import os, sys
from pathlib import Path
from tfday7.distribution.launching import local
from tfday7.distribution.launching.config import LaunchConfig
job = local.Job([sys.executable, "-c", {code!r}], Path({folder!r}), LaunchConfig(workers=2), lambda lines: None)
local.run(job, lambda: local.members(job.config, False, os.environ))
"""


def test_no_process_outlives_a_launcher_that_is_killed(tmp_path: Path) -> None:
    note = f"open(f'{tmp_path}/{{os.getpid()}}.here', 'w').close()\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    script = LAUNCHER.format(code=PLACE + note + SLEEP, folder=str(tmp_path))
    launcher = subprocess.Popen([sys.executable, "-c", script])
    when(tmp_path, lambda: None, count=2)()
    pids = [int(path.stem) for path in tmp_path.glob("*.here")]
    assert all(map(alive, pids))
    launcher.kill()
    launcher.wait()
    assert gone(pids)


def test_what_a_process_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    code = "import subprocess\nprint(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    ran = run(code, tmp_path, workers=1)
    assert ran.error is None
    assert gone([int((tmp_path / "worker_0.log").read_text())])
    assert ran.seconds < 30  # The pipe that it held open did not delay the end.


def test_a_program_that_does_not_exist_is_said(tmp_path: Path) -> None:
    job = Job(["/no/such/program"], tmp_path, LaunchConfig(workers=1), lambda lines: None)
    with pytest.raises(WorkerError, match="cannot start /no/such/program: No such file") as raised:
        local.run(job, lambda: [Member("worker 0", os.environ)])
    assert raised.value.exit_code == 127
