"""Scales of a plot: where a value lies between the two ends of an axis, and which values are named along it."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tfday7.core.records import LARGEST
from tfday7.reporting.records import number, string

if TYPE_CHECKING:
    from tfday7.reporting.search_records import Training

LINEAR, LOG, CHOICE = "linear", "log", "choice"
STEPS = (1, 2, 5)
LOG_SPAN = 100.0  # Two decades: from here on a logarithmic axis shows values better.
FLOOR = -1.0  # R² of -1 is useless already; how far below it something lies would flatten the rest.
FAR = 10.0  # Times as far from the best as the median is.


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis, from 0 at its low end to 1 at its high one.

    Attributes:
        name: of what is measured along it.
        scale: "linear", "log" or "choice".
        low, high: its ends; unused for choices.
        choices: its values as text, each with an equal part of the axis.
        keys: where a trial has its value, of which it has one at most.
        seams: bounds that a first search had within the axis.
        whole: whether only whole numbers are named.
        clamped: whether what lies beyond an end is shown at that end.
    """

    name: str
    scale: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    seams: tuple[float, ...] = ()
    whole: bool = False
    clamped: bool = False

    def place(self, value: Any) -> float | None:
        """Returns where a value lies, 0 to 1; None for what the axis does not hold."""
        if self.scale == CHOICE:
            named = string(value)
            return (self.choices.index(named) + 0.5) / len(self.choices) if named in self.choices else None
        found = number(value)
        if found is not None and self.clamped:
            found = min(max(found, self.low), self.high)
        if found is None or not self.low <= found <= self.high:
            return None
        if self.low == self.high:
            return 0.5
        low, high, at = (math.log(each) if self.scale == LOG else each for each in (self.low, self.high, found))
        return (at - low) / (high - low)

    def of(self, trial: Training) -> float | None:
        """Returns where a trial lies; None where the axis means nothing with its optimizer."""
        return next((self.place(trial.values[key]) for key in self.keys if key in trial.values), None)

    def ticks(self, limit: int = 5) -> list[tuple[float, str]]:
        """Returns the places that are named, at most about `limit`, each with its label."""
        if self.scale == CHOICE:
            every = math.ceil(len(self.choices) / max(1, limit))
            named: Iterable[Any] = self.choices[::every]
        else:
            named = self._round(limit)
        return [(place, self._label(value)) for value in named if (place := self.place(value)) is not None]

    def _label(self, value: Any) -> str:
        return value if self.scale == CHOICE else f"{value:,.0f}" if self.whole else tick(value)

    def _round(self, limit: int) -> list[float]:
        if self.low == self.high:
            return [self.low]
        found = _decades(self.low, self.high, limit) if self.scale == LOG else []
        return found if len(found) > 1 else _even(self.low, self.high, limit, whole=self.whole)


def numeric(name: str, values: Iterable[float | None], log: bool = False, **more: Any) -> Axis:
    """Returns an axis that holds all of some values; what is no finite number, or beyond `LARGEST`, does not count."""
    known = [value for value in values if value is not None and abs(value) < LARGEST and (value > 0 or not log)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    return Axis(name, LOG if log and known else LINEAR, low, high, **more)


def objective(name: str, values: Iterable[float | None], maximized: bool) -> Axis:
    """Returns the objective's axis, with a little room at its ends.

    A loss over two decades has a logarithmic one. On any other the few that are far worse than the median would press
    the rest together, so they are shown at the end.
    """
    known = [value for value in values if value is not None and abs(value) < LARGEST]
    log = not maximized and bool(known) and min(known) > 0 and max(known) > LOG_SPAN * min(known)
    axis = numeric(name, known, log)
    if axis.scale == LOG:
        return dataclasses.replace(axis, low=axis.low / 1.15, high=axis.high * 1.15)
    middle = statistics.median(known) if known else 0.0
    if maximized:
        far = axis.high - FAR * (axis.high - middle)
        low, high = (far, axis.high) if axis.low < far < axis.high else (axis.low, axis.high)
    else:
        far = axis.low + FAR * (middle - axis.low)
        low, high = (axis.low, far) if axis.low < far < axis.high else (axis.low, axis.high)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    cut = (low, high) != (axis.low, axis.high)
    return dataclasses.replace(axis, low=low - room, high=high + room, clamped=cut)


def tick(value: float, _position: int | None = None) -> str:
    """Returns an axis label that fits the margin: "0.05", "1,000", "7.5e-4"."""
    if 1000 <= abs(value) < 1e5:
        return f"{value:,.0f}"
    label = f"{value:.6g}"
    if len(label) <= 5 and "e" not in label:
        return label
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if not 0.1 <= abs(value) < 1000 else f"{value:.4g}"


def _decades(low: float, high: float, limit: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in (STEPS, STEPS[:1]):
        found = [value for power in powers for step in steps if low <= (value := step * 10.0**power) <= high]
        if len(found) <= limit:
            return found
    return found[:: math.ceil(len(found) / limit)]


def _even(low: float, high: float, limit: int, whole: bool) -> list[float]:
    power = 10.0 ** (math.floor(math.log10((high - low) / max(1, limit))) - 1)
    steps = (step * power * 10**more for more in range(4) for step in STEPS)
    for step in steps:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first <= max(1, limit) and (step >= 1 or not whole):
            return [float(f"{index * step:.12g}") for index in range(first, last + 1)]
    return [low, high]
