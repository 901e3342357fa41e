"""Puts an artefact and its record into their folder, each file whole or not at all.

The record comes first and goes last: whatever is killed in between, what lies there is known for an export's, and read
by nobody, as its SHA-256 is not the record's.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.exporting.records import Artefact, digest, from_json, record_path


def place(artefact: Artefact, scratch: Path, path: Path) -> Artefact:
    """Writes the record, then moves what lies in a scratch folder beside `path`; returns the artefact, filled in.

    Args:
        artefact: without path, sizes and digest.
        scratch: holds the artefact, under the name that `path` has, and what belongs to it; nothing else.
        path: where the artefact is to lie.

    Raises:
        UserError: the folder cannot be written; each file is then the new one or the one before, beside the new record.
    """
    entries: list[dict[str, Any]] = []
    gzip_bytes = 0
    for file in sorted(found for found in scratch.rglob("*") if found.is_file()):
        content = file.read_bytes()
        gzip_bytes += len(gzip.compress(content, 9, mtime=0))
        entries.append(
            {
                "name": file.relative_to(scratch).as_posix(),
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    record = record_path(path)
    for name in _listed(record) - {entry["name"] for entry in entries}:
        (path.parent / name).unlink(missing_ok=True)
    artefact = dataclasses.replace(
        artefact,
        path=str(path),
        size_bytes=sum(entry["size_bytes"] for entry in entries),
        gzip_bytes=gzip_bytes,
        sha256=digest(entries),
        files=entries,
    )
    files.write_json(record, artefact.to_json())
    for source in sorted(scratch.iterdir()):
        with files.replacing(path.with_name(source.name)) as partial:
            shutil.copytree(source, partial) if source.is_dir() else shutil.copy(source, partial)
    return artefact


def remove(path: Path) -> None:
    """Removes an artefact that has a record, with all files that the record names; what has none stays as it is."""
    record = record_path(path)
    listed = _listed(record)
    for name in listed:
        (path.parent / name).unlink(missing_ok=True)
    is_its_own = path.name in {Path(name).parts[0] for name in listed}
    if is_its_own and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    record.unlink(missing_ok=True)


def _listed(record: Path) -> set[str]:
    """Returns the files that a record names, relative to its folder; those of an unreadable record are not known."""
    if not record.exists():
        return set()
    try:
        return {str(entry["name"]) for entry in from_json(files.read_json(record), record).files}
    except UserError:
        return set()
