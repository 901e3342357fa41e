"""Looks through an HDF5 file before any value is read: no links out of it, and no arrays larger than it can hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError

_FREE_BYTES = 64_000_000
_HIGHEST_RATIO = 100
_BROKEN = "the file is truncated or damaged; save or download it again"


@contextlib.contextmanager
def opened(path: Path, source: Path) -> Iterator[Any]:
    """Yields the open file, looked through.

    Args:
        path: the HDF5 file.
        source: the file that the user gave, for messages.

    Raises:
        UserError: it is damaged, refers to other files, or declares far more data than it stores.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{source}: not a readable HDF5 file ({error})", _BROKEN) from error
    with file:
        with reading(source):
            _check(file, source)
        yield file


@contextlib.contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turns what h5py raises for damaged contents into a UserError; TypeError is what it says of a broken group."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, KeyError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{source}: damaged HDF5 file ({error})", _BROKEN) from error


def _check(file: Any, source: Path) -> None:
    declared = stored = 0
    for group in _groups(file, source):
        for name in group:
            item = group.get(name)
            if hasattr(item, "shape"):
                _check_dataset(item, source)
                declared += int(item.nbytes)
                stored += int(item.id.get_storage_size())
    if declared > _FREE_BYTES and declared > _HIGHEST_RATIO * stored:
        raise UserError(f"{source}: declares {declared:,} bytes of weights but stores {stored:,}; refused", _BROKEN)


def _groups(file: Any, source: Path) -> Iterator[Any]:
    import h5py

    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        if group.id in seen:
            continue
        seen.add(group.id)
        yield group
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise UserError(f"{source}: {group.name}/{name} links to another file, {link.filename!r}; refused")
            if isinstance(link, h5py.HardLink) and isinstance(group.get(name), h5py.Group):
                waiting.append(group[name])


def _check_dataset(dataset: Any, source: Path) -> None:
    if dataset.external or dataset.is_virtual:
        raise UserError(f"{source}: {dataset.name} reads its values from another file; refused")
