"""Files appear whole or not at all: each is written beside its name and moved into place.

A reader, a crash or a full disk therefore never leaves half a file under a name that others read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from tfday7.core.errors import UserError

PARTIAL = ".partial-"
REPLACED = ".replaced"  # In there: a folder that makes way for another one of its name.
MOST_JSON_BYTES = 500_000_000  # A record of 100,000 epochs has a tenth of it.
MOST_DIGITS = 300  # Of a whole number: a float has room for 308.


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically. Raises UserError (exit 2) when the folder cannot be written."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes UTF-8 text atomically. Raises UserError (exit 2) when the folder cannot be written."""
    write_bytes(path, content.encode())


def write_json(path: Path, record: Any) -> None:
    """Writes a JSON record atomically, indented, with a final newline; not-a-number is refused (ValueError)."""
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def open_own(path: Path, mode: str = "ab", buffering: int = -1) -> IO[bytes]:
    """Opens a file that is locked, or written where it lies; in a stranger's folder it may be a link.

    Raises:
        UserError: it is one, which is not followed.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o666)

    try:
        return cast(IO[bytes], open(path, mode, buffering, opener=opener))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path}: a link; expected a file", "remove it") from error
        raise


def check_line(flag: str, value: str) -> None:
    """Raises UserError where the rest of a flag's value would be further flags in a flagfile."""
    if len(f"{value}.".splitlines()) > 1:
        raise UserError(f"{flag}={value!r}: holds a line break", "a flagfile has a line for a flag; rename the file")


def check_plain(path: Path, most_bytes: int | None = None) -> None:
    """Checks that a path is that of a file which can be read to its end.

    A pipe would be waited for without end, and a device such as /dev/zero has none.

    Args:
        path: followed where it is a link; what is missing passes, as its reader has more to say of it.
        most_bytes: what no sensible file of its kind exceeds; None for any size.

    Raises:
        UserError: it is something else, or larger.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:  # Links in a circle, a name that is too long, a folder that may not be entered.
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: a {_sort(status.st_mode)}; expected a file")
    if most_bytes is not None and status.st_size > most_bytes:
        raise UserError(f"{path}: {status.st_size:,} bytes; expected {most_bytes:,} at most")


def _sort(mode: int) -> str:
    sorts = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket"}
    return next((name for is_one, name in sorts.items() if is_one(mode)), "device")


def read_json(path: Path) -> Any:
    """Reads a JSON record. Raises UserError (exit 2), naming the file, when it is missing or no JSON.

    Numbers that are not finite are no JSON, as for `write_json`, and whole ones have an end that a float can have too.
    """
    check_plain(path, MOST_JSON_BYTES)
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors.
        raise UserError(f"{path}: not a readable JSON file ({error})") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a private name beside `path`; what was written there replaces `path` when the block ends well.

    The yielded name has the same suffix as `path`, because some writers choose their format by it. A folder may be
    made at the yielded name as well; it then replaces the folder at `path`.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path.parent))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", "choose a folder that you may write to") from error
    try:
        partial = scratch / path.name
        yield partial
        if partial.is_dir() and path.is_dir():  # A folder cannot be renamed over a folder that is not empty.
            (scratch / REPLACED).mkdir()
            path.replace(scratch / REPLACED / path.name)
        partial.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "free some space, or choose another folder"
        ) from error
    finally:
        _put_back(scratch)
        shutil.rmtree(scratch, ignore_errors=True)


def _put_back(scratch: Path) -> None:
    """Puts a folder that made way back in its place where nothing came into that."""
    for old in (scratch / REPLACED).glob("*"):
        if not os.path.lexists(scratch.parent / old.name):
            old.replace(scratch.parent / old.name)


def remove_partials(folder: Path, older_than_seconds: float = 0.0) -> None:
    """Removes what killed processes left beside the names that they were about to write.

    A folder that had made way for one which did not come is put back.

    Args:
        folder: may not exist.
        older_than_seconds: spares what a living process may be writing, where a folder is not held by a lock.
    """
    for leftover in folder.glob(PARTIAL + "*"):
        if time.time() - leftover.lstat().st_mtime >= older_than_seconds:
            _put_back(leftover)
            shutil.rmtree(leftover, ignore_errors=True)


def check_writable(folder: Path, flag: str) -> None:
    """Checks, without leaving anything behind, that files can be made in a folder that may not exist yet.

    Raises:
        UserError: it is not a folder or cannot be written; the message names the flag.
    """
    existing = folder
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except OSError as error:  # A name that is too long, or below a folder that may not be entered.
        raise UserError(f"--{flag}={folder}: cannot be a folder ({error.strerror})") from error
    if not existing.is_dir():
        raise UserError(f"--{flag}={folder}: {existing} is a file; expected a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            return
    except OSError as error:
        hint = "choose a folder that you may write to"
        raise UserError(f"--{flag}={folder}: cannot write to {existing} ({error.strerror})", hint) from error


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, or of a folder's files with their names; "" where there is neither."""
    digest, parts = hashlib.sha256(), sorted(path.rglob("*")) if path.is_dir() else [path]
    for part in parts:
        if part.is_file():
            digest.update(part.relative_to(path).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest() if path.exists() else ""


def folder_size_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files below a folder, in bytes."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
