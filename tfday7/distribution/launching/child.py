"""Becomes the command that it is given, after asking the kernel to kill it when its parent ends.

    python child.py PARENT COMMAND ...

The wish survives `exec`, so the command needs to know nothing of it, and no code runs between fork and exec in a
launcher that has threads. Run by path and without site packages, as it delays every start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NOT_FOUND = 127  # As shells report it.


def main(parent: int, command: list[str]) -> None:
    """Replaces this process by the command. Returns only if that is impossible."""
    for number in (signal.SIGINT, signal.SIGTERM):  # A launcher in the background may have inherited them as ignored.
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It ended before the wish was heard.
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - There is no shell on purpose.
    except OSError as error:
        sys.stderr.write(f"error: cannot start {command[0]}: {error.strerror}\n")
        sys.exit(NOT_FOUND)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
