"""Errors carry their exit code and a hint, so that a command can end in two lines instead of a traceback.

Exit codes: 0 done, 1 a bug of ours, 2 the user's mistake, 3 a gate failed, 75 another worker of the group was
lost (start the group again), 130 interrupted, 143 preempted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Tfday7Error(Exception):
    """An expected failure.

    Args:
        message: what was given and what was expected.
        hint: what to do about it; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(Tfday7Error, ValueError):
    """The user gave something that cannot work (exit 2)."""

    exit_code = 2


class InUseError(UserError):
    """Another process works where this one was to work (exit 2)."""


class GateError(Tfday7Error):
    """The work was done but a gate did not hold: parity broken, training diverged, budget not met (exit 3)."""

    exit_code = 3


class WorkerLostError(Tfday7Error):
    """Another process of the group has gone; this one's state is in the last checkpoint (exit 75, EX_TEMPFAIL)."""

    exit_code = 75


class Interrupted(BaseException):
    """A signal asked the run to stop, and the run has saved what it could.

    Not an `Exception`: no handler for errors may take it for one.

    Args:
        message: what was saved, and where.
        exit_code: 130 for SIGINT, 143 for SIGTERM (128 + signal number, as shells report it).
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def unknown_name(kind: str, name: str, known: Iterable[str], extra: str = "") -> UserError:
    """Returns the error for a name that is not in a table; the hint lists the known ones, the nearest first.

    Args:
        kind: what the name was meant to be, for example "model".
        name: what was given.
        known: the names that exist.
        extra: other forms that are accepted too, appended to the hint.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    hint = f"{meant}known: {', '.join(names)}"
    return UserError(f"unknown {kind} {name!r}", hint + (f"; or {extra}" if extra else ""))
