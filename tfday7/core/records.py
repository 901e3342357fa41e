"""Dataclasses from the JSON records of earlier stages, to whose files anything may have happened since."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from tfday7.core.errors import UserError

T = TypeVar("T")


def build(kind: type[T], record: Any, where: Path | str, hint: str) -> T:
    """Returns the dataclass that a record holds, each field of the type that it says; other names are left out.

    Args:
        kind: the dataclass; lists become tuples where it has tuples.
        record: as JSON has it.
        where: the record's file, and its place therein.
        hint: what writes the record anew.

    Raises:
        UserError: a field is missing or of another type.
    """
    import dacite  # Only what reads records needs it.

    if not isinstance(record, dict):
        raise UserError(f"{where}: {type(record).__name__} found; expected an object", hint)
    with understood(where, hint):
        try:
            return dacite.from_dict(kind, record, dacite.Config(cast=[tuple]))
        except dacite.DaciteError as error:
            raise TypeError(error) from error


@contextlib.contextmanager
def understood(where: Path | str, hint: str) -> Iterator[None]:
    """Makes a UserError of what a record of another shape does to the lines that read it.

    Args:
        where: the record's file.
        hint: what writes it anew.
    """
    try:
        yield
    except UserError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: not what this version of tfday7 has written ({error})", hint) from error
