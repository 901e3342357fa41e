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
import weakref
from collections.abc import Iterator
from types import FrameType

from tfday7.core.errors import Interrupted

PR_SET_PDEATHSIG = 1
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SECONDS_TO_END = 0.1  # From where what a signal raised has been caught to where the process is in its last moments.


class StopRequest:
    """Whether a signal asked to stop, and with which exit code."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __bool__(self) -> bool:
        return self.exit_code is not None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Notes the signal; a second one raises KeyboardInterrupt or, for SIGTERM, Interrupted where the program is."""
        if self.exit_code is not None:
            _raise_at_once(number, frame)
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

    signal.signal(signal.SIGTERM, _raise_at_once)


_LOSES_NONE = threading.Event()


def lose_no_signals() -> None:
    """Makes SIGTERM and Ctrl-C stop this process wherever they come, until `end_by_signals`.

    What they raise may get lost: Python ignores exceptions in places as `__del__` is, and compiled code drops them
    where it only asks whether there is an attribute. An exception that nobody has any more while the process goes on
    was lost, and its signal is sent again.
    """
    _LOSES_NONE.set()
    sys.unraisablehook = _unraisable
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise_at_once)


class _CtrlC(KeyboardInterrupt):
    """A KeyboardInterrupt that a weak reference can watch."""


def _raise_at_once(number: int, frame: FrameType | None) -> None:
    del frame  # A local name of the exception would keep it alive: its traceback holds this frame.
    code = EXIT_CODES[signal.SIGTERM]
    raise sent_until_caught(Interrupted("stopped by SIGTERM", code) if code == 128 + number else _CtrlC(), number)


def sent_until_caught(raised: BaseException, number: int) -> BaseException:
    """Returns what the handler of a signal raises, having it sent again if that gets lost; see `lose_no_signals`.

    Args:
        raised: takes weak references, as exceptions that are defined in Python do.
        number: of the signal.
    """
    if _LOSES_NONE.is_set():
        weakref.finalize(raised, _when_gone, number).atexit = False
    return raised


def _when_gone(number: int) -> None:
    """Looks a moment later whether the process is at its end, as it is where the exception was caught for good."""
    later = threading.Timer(SECONDS_TO_END, _send_again, (number,))
    later.daemon = True
    later.start()


def _send_again(number: int) -> None:
    if signal.getsignal(number) is not signal.SIG_DFL:
        os.kill(os.getpid(), number)


def _unraisable(raised: sys.UnraisableHookArgs) -> None:
    """Says nothing of a signal that came in a place where Python ignores exceptions: it is sent again."""
    if not isinstance(raised.exc_value, Interrupted | _CtrlC):
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
