"""Ctrl-C and SIGTERM become a request that long work looks at, so that it can save before it stops.

A second Ctrl-C stops at once. Outside of the main thread no handler can be set, and none is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from tfday7.core.errors import Interrupted

PR_SET_PDEATHSIG = 1
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopRequest:
    """Whether a signal asked to stop, and with which exit code."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __bool__(self) -> bool:
        return self.exit_code is not None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Notes the signal; a second one raises KeyboardInterrupt where the program is."""
        del frame
        if self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = EXIT_CODES[signal.Signals(number)]


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yields a `StopRequest` that SIGINT and SIGTERM set while the block runs."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in EXIT_CODES}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_at_once_on_sigterm() -> None:
    """Makes SIGTERM end the program with 143 after its `finally` blocks, wherever no `stop_requests` is active."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Interrupted("stopped by SIGTERM", EXIT_CODES[signal.SIGTERM])

    signal.signal(signal.SIGTERM, stop)


def lose_no_signals() -> None:
    """Makes SIGTERM and Ctrl-C stop this process also when they come where Python ignores what is raised."""
    sys.unraisablehook = _unraisable


def _unraisable(raised: sys.UnraisableHookArgs) -> None:
    """Sends a signal again that came in such a place, as `__del__` is."""
    if isinstance(raised.exc_value, Interrupted | KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(raised.exc_value, Interrupted) else signal.SIGINT
        threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(raised)


def end_by_signals() -> None:
    """Lets SIGINT and SIGTERM end the process without a word: for its last moments, where nothing is caught any more.

    A shell calls that 130 and 143, too.
    """
    for number in EXIT_CODES:
        signal.signal(number, signal.SIG_DFL)


def end_with_parent(parent: int) -> None:
    """Asks the kernel to kill this child process when its parent ends, however that ends.

    Args:
        parent: the process id of the parent, which may have ended before this is called.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
