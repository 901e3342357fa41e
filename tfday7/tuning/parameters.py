"""A hyperparameter of a search: its name, its range, and the optimizer that it belongs to.

Names are those of flags, so that a trial's values are a flagfile.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.settings import Settings, typed_fields
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

Value = float | int | str | bool
CONFIGS: tuple[type[Settings], ...] = (ModelConfig, OptimizerConfig, TrainingConfig)
# What a search must hold fixed: they decide what is compared, or have no order and no bounds.
FIXED = ("model", "pretrained", "head", "allow_unsafe_model", "epochs", "seed", "deterministic", "precision", "freeze")
EDGE = 0.05  # The best value lies at a bound when no more of its range than this is beyond it.


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A hyperparameter and its range.

    Attributes:
        name: of the flag.
        range: lowest and highest value; for "choice" all values.
        scale: "log", "linear" or "choice".
        optimizer: the optimizer with which alone it means something; empty for any.
        integer: whether its values are whole numbers.
    """

    name: str
    range: tuple[Value, ...]
    scale: str
    optimizer: str = ""
    integer: bool = False

    @property
    def key(self) -> str:
        """Its name in a trial: "learning_rate", or "adam.learning_rate" where each optimizer has its own."""
        return f"{self.optimizer}.{self.name}" if self.optimizer else self.name

    def place(self, value: Value) -> float:
        """Returns where in its range a value lies, from 0 to 1, on its scale."""
        if self.scale == "choice":
            return self.range.index(value) / max(1, len(self.range) - 1)
        low, high = (self._scaled(end) for end in self.range)
        return (self._scaled(value) - low) / (high - low)

    def at(self, place: float) -> Value:
        """Returns the value at a place from 0 to 1 of its range, on its scale."""
        if self.scale == "choice":
            return self.range[min(int(place * len(self.range)), len(self.range) - 1)]
        low, high = (self._scaled(end) for end in self.range)
        value = low + place * (high - low)
        value = math.exp(value) if self.scale == "log" else value
        return round(value) if self.integer else float(f"{value:.4g}")

    def edge(self, value: Value) -> str:
        """Returns "low" or "high" when the value lies at that bound of a numeric range, else ""."""
        if self.scale == "choice":
            return ""
        place = self.place(value)
        return "low" if place <= EDGE else "high" if place >= 1 - EDGE else ""

    def widened(self, side: str, most: float = math.inf) -> Parameter:
        """Returns the parameter with its range and as much again beyond one bound, where that is allowed.

        A bound that the flag does not allow is moved to what it does, and one above `most` to that, but not into the
        range as it is.
        """
        low, high = (self._scaled(end) for end in self.range)
        ends = (low - (high - low), low) if side == "low" else (high, high + (high - low))
        new = tuple(math.exp(end) if self.scale == "log" else end for end in ends)
        allowed, high_now = allowed_range(self.name), float(self.range[1])
        if self.integer and self.scale == "log":
            allowed = (max(allowed[0], 1.0), allowed[1])
        highest = min(allowed[1], max(most, high_now))
        kept = tuple(min(max(end, allowed[0]), highest) for end in new)
        values = tuple(round(end) if self.integer else float(f"{end:.3g}") for end in kept)
        return dataclasses.replace(self, range=values)

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {"name": self.name, "optimizer": self.optimizer, "range": list(self.range), "scale": self.scale}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Parameter:
        """Returns the parameter of a record."""
        integer = record["scale"] != "choice" and all(isinstance(end, int) for end in record["range"])
        return cls(record["name"], tuple(record["range"]), record["scale"], record["optimizer"], integer)

    def _scaled(self, value: Any) -> float:
        return math.log(value) if self.scale == "log" else float(value)


def kind_of(name: str) -> type:
    """Returns the plain type of a flag that can be tuned. Raises UserError when there is no such flag."""
    for config in CONFIGS:
        for field, kind, _ in typed_fields(config):
            if field.name == name and name not in FIXED:
                return kind
    known = [field.name for config in CONFIGS for field, _, _ in typed_fields(config) if field.name not in FIXED]
    raise unknown_name("hyperparameter in --tune", name, known)


def allowed_range(name: str) -> tuple[float, float]:
    """Returns the lowest and highest value that a numeric flag takes, exclusive bounds moved inwards a little."""
    field = next(field for config in CONFIGS for field, _, _ in typed_fields(config) if field.name == name)
    bounds: Mapping[str, Any] = field.metadata
    lows = [bounds.get("minimum"), None if bounds.get("above") is None else bounds["above"] + 1e-12]
    highs = [bounds.get("maximum"), None if bounds.get("below") is None else bounds["below"] - 1e-3]
    return (
        max((low for low in lows if low is not None), default=-1e12),
        min((high for high in highs if high is not None), default=1e12),
    )


def parse(text: str) -> dict[str, Parameter | None]:
    """Returns what `--tune` names: name -> parameter, or None where its range is left to the advisor.

    Raises:
        UserError: an unknown flag, or a range that is none.
    """
    found: dict[str, Parameter | None] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, given, values = entry.partition("=")
        kind = kind_of(name)
        if name in found:
            raise UserError(f"--tune={text}: {name} is named more than once")
        found[name] = _parameter(entry, name, kind, values) if given else None
    if text and not found:
        raise UserError(f"--tune={text}: names nothing", "for example --tune=learning_rate,batch_size=16|32|64")
    return found


def _parameter(entry: str, name: str, kind: type, values: str) -> Parameter:
    ends, _, scale = values.partition(":")
    parts = ends.split("..")
    if len(parts) == 2 and kind in (int, float) and scale in ("", "log", "linear"):
        low, high = (_value(entry, kind, part) for part in parts)
        scale = scale or ("log" if low > 0 and high / low >= 10 else "linear")  # type: ignore[operator]
        if not low < high or (scale == "log" and low <= 0):  # type: ignore[operator]
            raise UserError(f"--tune={entry}: expected a low bound below the high one, both above 0 on a log scale")
        parameter = Parameter(name, (low, high), scale, integer=kind is int)
    else:
        choices = tuple(_value(entry, kind, part) for part in values.split("|"))
        if len(set(choices)) != len(choices) or len(choices) < 2:
            raise UserError(
                f"--tune={entry}: expected NAME=LOW..HIGH, NAME=LOW..HIGH:log or two or more different values, a|b|c"
            )
        parameter = Parameter(name, choices, "choice")
    check_values(parameter)
    return parameter


def check_values(parameter: Parameter) -> None:
    """Raises UserError when the flag does not take the ends or the choices of a range."""
    for value in parameter.range:
        for config in CONFIGS:
            if any(field.name == parameter.name for field in dataclasses.fields(config)):
                config(**{parameter.name: value})


def _value(entry: str, kind: type, text: str) -> Value:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        value: Value = kind(text.strip())
    except (ValueError, KeyError):
        raise UserError(f"--tune={entry}: {text.strip()!r} is no {_NAMES[kind]}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"--tune={entry}: {text.strip()!r} is no bound")
    return value


_NAMES = types.MappingProxyType({int: "whole number", float: "number", bool: "true or false", str: "word"})
