"""Keeps the start-up notes of native libraries off the terminal; warnings and errors still get there.

TensorFlow 2.21 writes its notes on oneDNN and CUDA before its log level can be set, and LiteRT announces each delegate:
no environment variable stops them, and they hide what matters.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_NOTE = re.compile(
    rb"^(I\d{4} |INFO: |WARNING: All log messages before absl::InitializeLog)"
    rb"|^To enable the following instructions|^/job:worker/replica:\d+/task:\d+$"  # Second lines of notes.
    rb"|failed call to cuInit"  # Written as an error on every machine that has no NVIDIA driver.
)


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Holds back what native code writes to stderr while the block runs, then passes on all but the notes."""
    try:
        stderr = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # No real stderr, as under some test runners: nothing to filter.
        yield
        return
    sys.stderr.flush()
    saved = os.dup(stderr)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), stderr)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, stderr)
            os.close(saved)
            held.seek(0)
            rest = b"".join(line for line in held if not _NOTE.search(line))
            if rest:
                os.write(stderr, rest)
