"""Dataclasses from the JSON records of earlier stages, to whose files anything may have happened since."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tfday7.core.errors import UserError

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")
LARGEST = 1e100  # Nothing measured is larger: float32 ends at 3.4e38. Squares of it, and their sums, are finite.
MEMBERS = ("bool", "int", "float", "str")  # Of a union: pydantic says of which one it speaks.


def build(kind: type[T], record: Any, where: Path | str, hint: str) -> T:
    """Returns the dataclass that a record holds, each field of the type that it says; other names are left out.

    Args:
        kind: the dataclass; JSON's lists become tuples where it has tuples, its whole numbers are numbers.
        record: as JSON has it.
        where: the record's file, and its place therein.
        hint: what writes the record anew.

    Raises:
        UserError: a field is missing or of another type.
    """
    import pydantic  # Only what reads records needs it.

    if not isinstance(record, dict):
        raise UserError(f"{where}: {type(record).__name__} found; expected an object", hint)
    try:
        return cast(T, _reader(cast(Any, kind)).validate_json(json.dumps(_known(kind, record)), strict=True))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        said = str(first.get("ctx", {}).get("error", first["msg"]))  # A dataclass says itself what it does not take.
        place = ".".join(str(part) for part in first["loc"] if part not in MEMBERS)
        told = [str(where), *([place] if place else []), said[:1].lower() + said[1:]]
        raise UserError(": ".join(told), hint) from error


def _known(kind: Any, record: dict[str, Any]) -> dict[str, Any]:
    """Returns what the dataclass has names for."""
    return {field.name: record[field.name] for field in dataclasses.fields(kind) if field.name in record}


def check_measured(record: Any, where: Path | str, hint: str) -> None:
    """Raises UserError where a record of what was measured, settings apart, holds a number beyond `LARGEST`."""
    for number in _numbers(record):
        if abs(number) > LARGEST:
            raise UserError(f"{where}: {number:g} found; nothing that is measured is beyond {LARGEST:g}", hint)


def _numbers(value: Any) -> Iterator[int | float]:
    """Yields the numbers within a JSON value."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)


@functools.cache
def _reader(kind: Any) -> pydantic.TypeAdapter[Any]:
    import pydantic

    return pydantic.TypeAdapter(kind)


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
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{where}: not what this version of tfday7 has written ({error})", hint) from error
