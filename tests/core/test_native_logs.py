"""Notes of native libraries stay off the terminal, warnings and errors do not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]

WRITE = """
import os, sys
from tfday7.core.native_logs import without_notes
lines = {lines!r}
with without_notes():
    os.write(2, lines[0].encode())
    print("from python", file=sys.stderr)
    {end}
print("after", file=sys.stderr)
"""


def test_only_notes_are_held_back(run_python: Run) -> None:
    lines = (
        "I0000 00:00:1 cpu_feature_guard.cc] rebuild\nINFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
        "W0000 00:00:1 warn\nE0000 failed call to cuInit: 303\nE0000 real error\nno newline at the end"
    )
    done = run_python(WRITE.format(lines=[lines], end=""))
    assert done.stderr == "W0000 00:00:1 warn\nE0000 real error\nno newline at the endfrom python\nafter\n"


def test_an_exception_inside_does_not_swallow_what_was_written(run_python: Run) -> None:
    code = WRITE.format(lines=["E0000 cause\n"], end="raise SystemExit(0)")
    assert run_python(code).stderr == "E0000 cause\nfrom python\n"


def test_a_program_without_stderr_runs_on(run_python: Run) -> None:
    code = (
        "import sys; sys.stderr = None\nfrom tfday7.core.native_logs import without_notes\n"
        "with without_notes(): print(1)"
    )
    assert run_python(code).stdout == "1\n"
