"""Runs a group of processes on this machine: started, watched and ended together, and started again where that helps.

The first process that fails decides: the others get SIGTERM, and after a grace period SIGKILL, since a worker that
waits for a lost one may wait forever. Its exit code becomes the launcher's.
"""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfday7.core.errors import Interrupted, Tfday7Error, UserError
from tfday7.core.signals import EXIT_CODES, StopRequest, stop_requests
from tfday7.distribution.cluster import VARIABLES, Cluster
from tfday7.distribution.launching.config import LaunchConfig
from tfday7.distribution.launching.output import Write
from tfday7.distribution.launching.ports import free_ports
from tfday7.distribution.launching.processes import Member, Process, how_it_ended

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.05
WORKER_LOST = 75  # EX_TEMPFAIL of sysexits.h: another process of the group was lost; start it again.
WORTH_ANOTHER_START = (1, WORKER_LOST)
DIED = 1
Say = Callable[[str], None]


class WorkerError(Tfday7Error):
    """A process of the group failed; the exit code is that process's, and 1 where a signal ended it."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def members(config: LaunchConfig, on_a_mesh: bool, environ: Mapping[str, str]) -> list[Member]:
    """Returns the processes of a group on this machine, on ports that are free now.

    Args:
        on_a_mesh: whether they join by DTensor's variables instead of TF_CONFIG.
        environ: what they inherit; what it says of another cluster is left out.

    Raises:
        UserError: there are too few free ports.
    """
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(config.workers + config.parameter_servers)]
    workers, servers = tuple(addresses[: config.workers]), tuple(addresses[config.workers :])
    package = str(Path(__file__).resolve().parents[3])
    inherited = {name: value for name, value in environ.items() if name not in VARIABLES}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environ.get("PYTHONPATH", ""))))
    inherited["PYTHONUNBUFFERED"] = "1"  # Lines appear when they are said.
    processes = [("worker", index) for index in range(len(workers))] + [("ps", index) for index in range(len(servers))]
    started = []
    for role, index in processes:
        cluster = Cluster(workers, servers, "chief" if (role, index) == ("worker", 0) else role, index)
        told = cluster.dtensor_environment() if on_a_mesh else {"TF_CONFIG": cluster.tf_config()}
        started.append(Member(f"{role} {index}", {**inherited, **told}))
    return started


def check_flags(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Runs a command that only checks its flags, so that a mistake is said once instead of by every process.

    Raises:
        UserError: the command's own error, where it ended with 2.
        WorkerError: it ended otherwise; the message has what it said.
    """
    ended = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, errors="replace", check=False
    )
    if ended.returncode == 0:
        return
    _, found, said = ("\n" + ended.stderr).partition("\nerror: ")
    message, _, hint = said.partition("\nhint: ")
    if ended.returncode == UserError.exit_code and found:
        raise UserError(message.strip(), hint.strip())
    message = f"the check of the flags {how_it_ended(ended.returncode)}: {ended.stderr.strip()}"
    raise WorkerError(message, "", ended.returncode if ended.returncode > 0 else DIED)


@dataclasses.dataclass(frozen=True)
class Job:
    """What runs in every process of a group, and who is told of it.

    Attributes:
        command: the program and its arguments, the same for all.
        log_dir: existing folder; gets a log for each process.
        config: `restarts` and `grace_seconds` count.
        write: shows lines of the processes, each with its name before it; called from several threads.
        say: told in a sentence what happens.
        ends_with_chief: whether the others only serve the first process, and are stopped when it has ended well.
    """

    command: Sequence[str]
    log_dir: Path
    config: LaunchConfig
    write: Write
    say: Say = lambda sentence: None
    ends_with_chief: bool = False


def run(job: Job, group: Callable[[], Sequence[Member]]) -> None:
    """Runs a job in every process of a group until all have ended well. Call it from the main thread.

    Args:
        group: returns the processes to start, the chief first; called before each start, as ports may have been taken.

    Raises:
        WorkerError: a process failed, and was not worth another start or had all of them.
        Interrupted: SIGINT or SIGTERM came, and was passed on; all processes have ended.
    """
    restarts = job.config.restarts
    with stop_requests() as request:
        for start in range(restarts + 1):
            failed = _run_once(job, group(), request, start > 0)
            if request.exit_code is not None:
                raise Interrupted(f"{_signal(request).name} was passed on; all processes have ended", request.exit_code)
            if failed is None:
                return
            code = failed.code or 0
            if start == restarts or not (code < 0 or code in WORTH_ANOTHER_START):
                raise _failure(failed)
            job.say(f"{failed.name} {how_it_ended(code)}; the group is started again ({start + 1} of {restarts})")


def _run_once(job: Job, group: Sequence[Member], request: StopRequest, again: bool) -> Process | None:
    """Returns the process that failed first, None when all ended well. None of them runs any more."""
    processes: list[Process] = []
    try:
        for member in group:
            processes.append(Process(member, job.command, job.log_dir, job.write, again))
        return _watch(job, processes, request)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted("a second signal came; all processes were killed", request.exit_code or 130) from None
    finally:
        for process in processes:  # All of them before the first wait: none shall see another one's end.
            process.kill()
        for process in processes:
            process.wait()
            if process.output.failure:
                job.say(f"{process.log} is not whole: {process.output.failure.strerror}")


def _watch(job: Job, processes: Sequence[Process], request: StopRequest) -> Process | None:
    """Waits until none runs; stops all of them when one fails or a signal came. Returns the one that failed first."""
    failed: Process | None = None
    killing_at: float | None = None
    while True:
        stopping = bool(request)  # Before the look: how processes end that got a signal from us says nothing.
        running = [process for process in processes if process.poll() is None]
        if killing_at is None:
            failed = None if stopping else _first_failure(processes)
            if stopping or failed or (job.ends_with_chief and processes[0].code == 0):
                for process in running:
                    process.send(_signal(request) if stopping else signal.SIGTERM)
                killing_at = time.monotonic() + job.config.grace_seconds
                if running and (stopping or failed):
                    why = f"{failed.name} {how_it_ended(failed.code or 0)}" if failed else _signal(request).name
                    job.say(f"{why}: stopping {_names(running)}")
        if not running:
            return failed
        if killing_at is not None and time.monotonic() >= killing_at:
            job.say(f"killing {_names(running)} after {job.config.grace_seconds:g} seconds")
            for process in running:
                process.kill()
            killing_at = math.inf
        time.sleep(POLL_SECONDS)


def _first_failure(processes: Sequence[Process]) -> Process | None:
    """Returns the failed process that is nearest to the cause, of those that failed since the last look."""
    failed = [process for process in processes if process.code]

    def distance(process: Process) -> int:
        return 0 if (process.code or 0) < 0 else 2 if process.code == WORKER_LOST else 1

    return min(failed, key=distance, default=None)


def _names(processes: Sequence[Process]) -> str:
    return ", ".join(process.name for process in processes)


def _signal(request: StopRequest) -> signal.Signals:
    return next(number for number, code in EXIT_CODES.items() if code == request.exit_code)


def _failure(process: Process) -> WorkerError:
    code = process.code or 0
    lines = process.output.last_lines()
    said = "".join(f"\n    {line}" for line in lines) if lines else " nothing"
    return WorkerError(
        f"{process.name} {how_it_ended(code)}; it said at last:{said}",
        f"its whole output is in {process.log}",
        code if code > 0 else DIED,
    )
