"""The processes in which converters run: one that stays and forks for every group of requests, or one for one group.

Starting TensorFlow takes more of a processor than converting a small model; a fork of a process that has loaded it and
used nothing of it has it at once. Where that does not do, a process of its own carries out a group and ends: on other
systems than Linux; where a fork cannot use the GPU (`Format.needs_own_process`); and for another attempt at a file that
hangs on addresses in memory, which all forks of one process share.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

LAST_BYTES = 10_000  # Of what a process has complained of: its last line is the reason.
COMMAND = (sys.executable, "-m", "tfday7.exporting.child")


class Converter:
    """A process that carries out requests: the given ones, or, without any, groups of them until it is ended.

    Args:
        paths: of the requests' files.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self.stays = not paths
        command = [*COMMAND, str(os.getpid()), *map(str, paths)]
        package = str(Path(__file__).resolve().parents[2])  # The child finds this very package, installed or not.
        path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "PYTHONPATH": path}
        if self.stays:
            environment["CUDA_VISIBLE_DEVICES"] = "-1"  # A GPU that was found before a fork cannot be used behind it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it.
        pipe = subprocess.PIPE if self.stays else subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, env=environment)

    def carry_out(self, paths: Sequence[Path], timeout: float) -> str:
        """Waits until requests are carried out, and returns how that ended: why those without an answer have none.

        Args:
            paths: of the requests' files; those that it was started with, if there are any.
            timeout: in seconds.

        Raises:
            subprocess.TimeoutExpired: they were not; the process goes on.
        """
        before = os.fstat(self._errors.fileno()).st_size
        code = self._asked(paths, timeout) if self._process.stdin else self._process.wait(timeout)
        after = os.fstat(self._errors.fileno()).st_size
        said = os.pread(self._errors.fileno(), LAST_BYTES, max(before, after - LAST_BYTES))
        return _reason(code, said.decode("utf-8", "replace"))

    def _asked(self, paths: Sequence[Path], timeout: float) -> int:
        """Returns the exit code of the fork, negative for a signal; of the process itself where that has ended."""
        asks, answers = self._process.stdin, self._process.stdout
        if asks is None or answers is None:
            raise RuntimeError("a converter that was started for a single group has no pipes")
        try:
            asks.write(json.dumps([str(path) for path in paths]).encode() + b"\n")
            asks.flush()
        except BrokenPipeError:
            return self._process.wait()
        answered = select.poll()
        answered.register(answers, select.POLLIN)
        if not answered.poll(timeout * 1000.0):
            raise subprocess.TimeoutExpired(self._process.args, timeout)
        said = answers.readline()
        return int(said) if said else self._process.wait()

    def is_there(self) -> bool:
        """Returns whether the process can carry out more."""
        return self.stays and self._process.poll() is None

    def is_lost(self) -> bool:
        """Returns whether the process has died while it should have stayed: not its fork, so of no request."""
        return self.stays and self._process.poll() is not None

    def kill(self) -> None:
        """Kills the process, and with it its fork; who waits for it in another thread learns that it has ended."""
        self.stays = False
        self._process.kill()

    def close(self) -> None:
        """Ends the process; nobody waits for it any more."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # What a dead process was asked is still in the buffer.
                    pipe.close()


class Kept:
    """Converters that wait for their next requests."""

    def __init__(self) -> None:
        self._lock, self._waiting, self._owner = threading.Lock(), list[Converter](), os.getpid()
        atexit.register(self.end)

    def take(self) -> Converter:
        """Returns one that waits, or a new one."""
        with self._lock:
            self._forget_foreign()
            while self._waiting:
                found = self._waiting.pop()
                if found.is_there():
                    return found
                found.close()
        return Converter()

    def give(self, converter: Converter) -> None:
        """Lets one wait, if it can carry out more."""
        with self._lock:
            self._forget_foreign()
            if converter.is_there():
                self._waiting.append(converter)
            else:
                converter.close()

    def start(self) -> None:
        """Starts one if none waits: it loads TensorFlow while the caller does something else."""
        if self.possible():
            self.give(self.take())

    def possible(self) -> bool:
        """Returns whether this system has what it takes."""
        return sys.platform == "linux"

    def end(self) -> None:
        """Ends all that wait."""
        with self._lock:
            self._forget_foreign()
            while self._waiting:
                self._waiting.pop().close()

    def _forget_foreign(self) -> None:
        """Forgets those of the process that this one is a fork of."""
        if self._owner != os.getpid():
            self._waiting, self._owner = [], os.getpid()


KEPT = Kept()


def _reason(returncode: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = f": {lines[-1][:500]}" if lines else ""
    ended = f"was killed by signal {-returncode}" if returncode < 0 else f"failed with exit code {returncode}"
    return f"the converter {ended}{said}"
