"""Puts an artefact and its record into their folder, whole or not at all."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.exporting.records import Artefact, digest, record_path


def place(artefact: Artefact, scratch: Path, path: Path) -> Artefact:
    """Moves what lies in a scratch folder beside `path`, then writes the record; returns the artefact, filled in.

    Args:
        artefact: without path, sizes and digest.
        scratch: holds the artefact, under the name that `path` has, and what belongs to it; nothing else.
        path: where the artefact is to lie.

    Raises:
        UserError: the folder cannot be written; what was there before stays as it was, but for what was replaced.
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
    remove(path)
    for source in sorted(scratch.iterdir()):
        with files.replacing(path.with_name(source.name)) as partial:
            shutil.copytree(source, partial) if source.is_dir() else shutil.copy(source, partial)
    artefact = dataclasses.replace(
        artefact,
        path=str(path),
        size_bytes=sum(entry["size_bytes"] for entry in entries),
        gzip_bytes=gzip_bytes,
        sha256=digest(entries),
        files=entries,
    )
    files.write_json(record_path(path), artefact.to_json())
    return artefact


def remove(path: Path) -> None:
    """Removes an artefact's record, then the artefact with what belongs to it, if they are there."""
    record_path(path).unlink(missing_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
        if path.suffix == ".xml":
            path.with_suffix(".bin").unlink(missing_ok=True)
