"""Puts an artefact and its record into its folder, whole or not at all."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
from pathlib import Path

from tfday7.core import files
from tfday7.exporting.records import Artefact


def finish(artefact: Artefact, content: bytes, path: Path) -> Artefact:
    """Writes the file, then its record (`<name>.json`), and returns the artefact with path, sizes and digest filled in.

    Raises:
        UserError: the folder cannot be written.
    """
    artefact = dataclasses.replace(
        artefact,
        path=str(path),
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    files.write_bytes(path, content)
    files.write_json(path.with_suffix(".json"), artefact.to_json())
    return artefact


def remove(path: Path) -> None:
    """Removes an artefact and its record, if they are there."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
