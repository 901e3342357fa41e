"""Runs a command and turns its exit code 75, "start the group again", into one that Kubeflow starts again.

    python -m tfday7.distribution.launching.retryable COMMAND ...

With `restartPolicy: ExitCode` a TFJob starts a pod again for exit codes of 128 or above only, and older operators of
these only for 130, 137, 138 and 143 (kubeflow/training-operator, pkg/util/train/train_util.go). SIGINT and SIGTERM are
passed on to the command.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

WORKER_LOST, RETRYABLE, SIGNAL_BASE = 75, 138, 128


def main(command: Sequence[str]) -> int:
    """Runs the command to its end and returns the exit code to give; 128 + its number for a signal that ended it."""
    received: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        if process is not None:
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    process = subprocess.Popen(command)
    for early in received:  # What came before there was someone to pass it on to.
        process.send_signal(early)
    code = process.wait()
    if code < 0:
        return SIGNAL_BASE - code
    return RETRYABLE if code == WORKER_LOST else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
