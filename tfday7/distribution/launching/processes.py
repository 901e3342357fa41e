"""A group of processes of which none outlives the others, nor the launcher.

Each has a session of its own, so a Ctrl-C in the terminal reaches only the launcher, which passes it on.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from tfday7.core import files
from tfday7.distribution.launching import child
from tfday7.distribution.launching.output import Output, Write

READING_SECONDS = 5.0
AGAIN = b"--- the group was started again ---\n"  # Begins another start's part of the log.


@dataclasses.dataclass(frozen=True)
class Member:
    """A process to start.

    Attributes:
        name: for people and for the log: "worker 0".
        environment: all its environment variables.
    """

    name: str
    environment: Mapping[str, str]

    def log(self, folder: Path) -> Path:
        """Returns the path of its log in a folder: worker_0.log."""
        return folder / f"{self.name.replace(' ', '_')}.log"


class Process:
    """A process that was started, with its output.

    Attributes:
        code: None while it runs, its exit code, or minus the number of the signal that ended it.
    """

    def __init__(self, member: Member, command: Sequence[str], log_dir: Path, write: Write, again: bool) -> None:
        self.name = member.name
        self.log = member.log(log_dir)
        self.code: int | None = None
        # -I and -S are for child.py alone; what it becomes starts anew.
        wrapper = [sys.executable, "-I", "-S", child.__file__, str(os.getpid())]
        log = files.open_own(self.log, "ab" if again else "wb", buffering=0)
        self._popen = subprocess.Popen(
            [*wrapper, *command],
            env=dict(member.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stream = cast(IO[bytes], self._popen.stdout)
        self.output = Output(stream, log, f"[{member.name}] ", write, AGAIN if again else b"")

    def poll(self) -> int | None:
        """Returns its code, None while it runs; what it left behind when it ended is killed."""
        # It is looked at before it is waited for: until then its number belongs to nobody else.
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if self.code is None and os.waitid(os.P_PID, self._popen.pid, look) is not None:
            self._signal_group(signal.SIGKILL)
            self.code = self._popen.wait()
            self.output.close(READING_SECONDS)
        return self.code

    def send(self, number: int) -> None:
        """Sends a signal to the process itself, if it still runs; it tells its own children."""
        if self.code is None:
            os.kill(self._popen.pid, number)

    def kill(self) -> None:
        """Ends the process and all of its children at once; does not wait for it."""
        if self.code is None:
            self._signal_group(signal.SIGKILL)
            os.kill(self._popen.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Waits until the process has ended and its output was read."""
        if self.code is None:
            self.code = self._popen.wait()
            self.output.close(READING_SECONDS)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def how_it_ended(code: int) -> str:
    """Returns for example "ended with exit code 3" or "was killed by SIGSEGV"."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
