"""A setting is declared once: as a field of a frozen dataclass that knows its help text and its range.

From that one declaration come the typed configuration for Python, the validation, and the command-line flag
(`tfday7.cli` makes flags from the same fields). Nothing here loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from tfday7.core.errors import UserError


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declares a field of a `Settings` class.

    Args:
        default: the value when nothing is given; None means "decided elsewhere", and the help says where.
        help: one sentence for `--help`.
        minimum, maximum: inclusive bounds.
        above, below: exclusive bounds.
        choices: the allowed strings.
        words: strings that a number may be instead; the field's type names them too: `float | Literal["auto"]`.
    """
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "above": above, "below": below}
    return dataclasses.field(default=default, metadata={**metadata, "choices": choices, "words": words})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all configurations; validates every field on construction.

    Raises:
        UserError: a value has the wrong type or lies outside its range. The message names the flag.
    """

    def __post_init__(self) -> None:
        for field, kind, optional in typed_fields(type(self)):
            value = getattr(self, field.name)
            if (value is None and optional) or (isinstance(value, str) and value in words(field)):
                continue
            value = _coerced(field, kind, value)
            object.__setattr__(self, field.name, value)
            _check_range(field, value)


def typed_fields(settings: type[Settings]) -> Iterator[tuple[dataclasses.Field[Any], type, bool]]:
    """Yields each field with its plain type (int, float, str or bool) and whether None is allowed."""
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        kind, optional = hints[field.name], False
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
            parts = typing.get_args(kind)
            (kind,) = (part for part in parts if part is not types.NoneType and not _is_literal(part))
            optional = types.NoneType in parts
        yield field, kind, optional


S = TypeVar("S", bound=Settings)


def from_text(settings: type[S], flags: Mapping[str, str]) -> S:
    """Returns the settings that flags of text say, as in flags.txt; a flag that is missing, or "" of a number: default.

    Raises:
        UserError: a value that the setting does not take.
    """
    values = {}
    for field, kind, _ in typed_fields(settings):
        text = flags.get(field.name)
        if text is not None and (text or kind is str):
            values[field.name] = text if text in words(field) else _READ[kind](field, text)
    return settings(**values)


def defaults() -> dict[str, str]:
    """Returns the text of the default of every flag whose settings have been imported."""
    return {name: value for kind in Settings.__subclasses__() for name, value in to_text(kind()).items()}


def to_text(settings: Settings) -> dict[str, str]:
    """Returns the flags that say the settings; those that are None are left out, as they cannot be said."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _bool(field: dataclasses.Field[Any], text: str) -> bool:
    if text not in ("true", "false"):
        raise _error(field, bool, text)
    return text == "true"


def _number(kind: type) -> Any:
    def read(field: dataclasses.Field[Any], text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise _error(field, kind, text) from None

    return read


_READ: dict[type, Any] = {str: lambda _, text: text, bool: _bool, int: _number(int), float: _number(float)}


def words(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Returns the words that a field takes beside its numbers: ("auto",) for `setting(..., words=("auto",))`."""
    return field.metadata.get("words") or ()


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


def describe_range(field: dataclasses.Field[Any], kind: type) -> str:
    """Returns what is accepted, in words: "a number of at least 0 and below 1"."""
    meta = field.metadata
    if meta.get("choices"):
        return "one of " + ", ".join(meta["choices"])
    bounds = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
    style = "," if kind is int else "g"
    limits = [f"{word} {meta[key]:{style}}" for key, word in bounds.items() if meta.get(key) is not None]
    noun = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}[kind]
    return noun + (" " + " and ".join(limits) if limits else "") + "".join(f", or {word}" for word in words(field))


def _coerced(field: dataclasses.Field[Any], kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _error(field, kind, value) from None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _error(field, kind, value)
    return value


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    meta = field.metadata
    if meta.get("choices") and value not in meta["choices"]:
        raise _error(field, str, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    broken = (
        (isinstance(value, float) and not math.isfinite(value))
        or (meta.get("minimum") is not None and value < meta["minimum"])
        or (meta.get("maximum") is not None and value > meta["maximum"])
        or (meta.get("above") is not None and value <= meta["above"])
        or (meta.get("below") is not None and value >= meta["below"])
    )
    if broken:
        raise _error(field, type(value), value)


def _error(field: dataclasses.Field[Any], kind: type, value: Any) -> UserError:
    hint = str(field.metadata.get("help", ""))
    return UserError(f"--{field.name}={value}: expected {describe_range(field, kind)}", hint)
