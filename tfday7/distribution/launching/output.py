"""What a process says: whole in its log, line by line with its name on the console, and the last lines remembered."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from typing import IO

CHUNK_BYTES = 65_536
LAST_LINES, LINE_CHARACTERS = 20, 500
Write = Callable[[bytes], None]


class Output:
    """Reads the pipe of a process in a thread until its end.

    Args:
        stream: the process's standard output and error.
        log: open file that gets every byte as it comes; the process goes on when it cannot be written.
        prefix: stands before each line on the console.
        write: shows lines; called from this thread, with whole lines.
        head: what the log gets first.
    """

    def __init__(self, stream: IO[bytes], log: IO[bytes], prefix: str, write: Write, head: bytes = b"") -> None:
        self._stream = stream
        self._log = log
        self._prefix = prefix.encode()
        self._write = write
        self._rest = b""
        self._last: collections.deque[bytes] = collections.deque(maxlen=LAST_LINES)
        self.failure: OSError | None = None  # Why the log is not whole.
        self._keep(head)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Waits until all was read, but not longer than so many seconds, as others may hold the pipe open."""
        self._thread.join(seconds)

    def last_lines(self) -> list[str]:
        """Returns the last lines, shortened."""
        return [line.decode(errors="replace").rstrip()[:LINE_CHARACTERS] for line in list(self._last)]

    def _read(self) -> None:
        with self._stream, self._log:
            while chunk := os.read(self._stream.fileno(), CHUNK_BYTES):
                self._keep(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                self._show(lines)
                if len(self._rest) >= CHUNK_BYTES:  # A line without an end is shown in pieces.
                    self._show([self._rest])
                    self._rest = b""
            if self._rest:
                self._show([self._rest])

    def _keep(self, chunk: bytes) -> None:
        try:
            while chunk and self.failure is None:
                chunk = chunk[self._log.write(chunk) :]
        except OSError as error:
            self.failure = error

    def _show(self, lines: list[bytes]) -> None:
        self._last.extend(lines)
        if lines:
            self._write(b"".join(self._prefix + line + b"\n" for line in lines))
