"""The child process that converts: `python -m tfday7.exporting.child PARENT [REQUEST.json ...]`.

A converter can kill its process without an exception (TFLite's, seen with int8 GRUs that stay a loop), so it gets one
of its own; a crash is then a failed artefact with a reason. Requests are carried out one after the other, and each
answer is written as soon as it is there: beside the request, `<request>.done`, with notes or a failure.

Without requests it reads groups of them, a JSON list a line, from standard input, carries each out in a fork, and
writes the fork's exit code, a line each, to standard output; see `converters`.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tfday7.core import files
from tfday7.core.signals import end_with_parent
from tfday7.exporting.format import FORMATS, Request

MOST_ERRORS = 3


def carry_out(paths: Sequence[str]) -> None:
    """Carries out requests. What a converter raises is an answer, as the next request may do better."""
    for path in map(Path, paths):
        request = Request(**json.loads(path.read_text(encoding="utf-8")))
        try:
            answer = {"notes": FORMATS.get(request.format).convert(request), "failure": ""}
        except Exception as error:  # noqa: BLE001 - converters raise anything; all of it is a reason.
            answer = {"notes": [], "failure": f"the converter failed: {_said(error)}"}
        files.write_json(path.with_suffix(".done"), answer)


def serve() -> None:
    """Carries out each line of the standard input in a fork, until it ends, which it does when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent.
    _load()
    for line in sys.stdin.buffer:
        fork = os.fork()
        if not fork:
            _be_fork(json.loads(line))
        os.write(sys.stdout.fileno(), b"%d\n" % _awaited(fork))


def _load() -> None:
    """Imports what most conversions need, and uses nothing of it: threads would not outlive a fork."""
    from tfday7.core.frameworks import keras, tf

    if not (tf.lite.TFLiteConverter and keras.layers.Dense and FORMATS.names()):
        raise ImportError("nothing to convert with")
    gc.collect()
    gc.freeze()  # A collection would touch, and so copy, every page in every fork.


def _be_fork(paths: Sequence[str]) -> None:
    """Carries out requests and ends the process, whatever happens."""
    code = 1
    try:
        end_with_parent(os.getppid())
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        carry_out(paths)
        code = 0
    except BaseException:  # noqa: BLE001 - what the interpreter would print.
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _awaited(fork: int) -> int:
    """Returns a fork's exit code, negative for a signal; ends the process, and the fork, when the input ends first."""
    events = select.poll()
    events.register(os.pidfd_open(fork), select.POLLIN)
    events.register(0, 0)  # Hanging up is always told.
    handles = [handle for handle, _ in events.poll()]
    if 0 in handles:
        os.kill(fork, signal.SIGKILL)
        sys.exit(1)
    _, status = os.waitpid(fork, 0)
    os.close(handles[0])
    return os.waitstatus_to_exitcode(status)


def _said(error: Exception) -> str:
    """Returns the errors in what a converter said, or its last line: TFLite's ends with the whole graph behind them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line.partition(" error: ")[2] for line in lines if ": error: " in line]
    said = "; ".join(dict.fromkeys(errors[:MOST_ERRORS])) or (lines[-1] if lines else "")
    return f"{type(error).__name__}: {said[:500]}" if said else type(error).__name__


def main(parent: int, paths: Sequence[str]) -> None:
    """Carries out requests, or, without any, those that the parent, by its process id, will send."""
    if paths:
        end_with_parent(parent)
        carry_out(paths)
    else:
        serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
