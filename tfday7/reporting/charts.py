"""Which plots a report has, what each shows, and the sentence that says the same to who cannot see it."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfday7.core.units import format_number
from tfday7.reporting.axes import FLOOR
from tfday7.reporting.history import Curve, History, is_wide
from tfday7.reporting.marks import Gap, Mark, best_name, gap, marks
from tfday7.reporting.words import Words, capitalized

HEIGHT, WIDTH, NARROW_WIDTH = 250, 360, 194
DENSE = 400  # Points; from here on dashes would hide in the noise.
UNBOUNDED = ("r2_score", "mean_score")  # Scores that fall as far below zero as a model is wrong.


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a plot: its role ("train", "validation" or "single") decides how it looks."""

    role: str
    curve: Curve

    @property
    def is_dense(self) -> bool:
        """Whether it has so many points that it is drawn thin and without dashes."""
        return len(self.curve.values) > DENSE


@dataclasses.dataclass(frozen=True)
class Chart:
    """One plot.

    Attributes:
        id: unique on the page.
        title: its heading.
        description: what it shows, in words and numbers.
        legend: pairs of a look (a role, with "dense" added for dense lines) and its name.
        log: whether the values have a logarithmic axis.
        floor: where the axis is cut below, or None.
        best_epoch: marked by a dot and a vertical line, or None.
        marks: further epochs that are marked.
        gap: shaded, or None.
        width: in CSS pixels.
    """

    id: str
    title: str
    description: str
    lines: list[Line]
    legend: list[tuple[str, str]]
    log: bool = False
    floor: float | None = None
    best_epoch: int | None = None
    marks: tuple[Mark, ...] = ()
    gap: Gap | None = None
    width: int = WIDTH


def charts(curves: History, words: Words) -> list[Chart]:
    """Returns the plots of a run: loss, metric, and the learning rate where it changes."""
    found = [_pair(name, curves, words) for name in dict.fromkeys(("loss", curves.metric)) if name]
    return [chart for chart in [*found, _learning_rate(curves, words)] if chart is not None]


def constant_rate(curves: History) -> float | None:
    """Returns the learning rate if it never changed."""
    rate = curves.curves.get("learning_rate")
    if rate is None or not len(rate.finite) or np.ptp(rate.finite) > 1e-9 * abs(rate.finite[0]):
        return None
    return float(rate.finite[0])


def _pair(name: str, curves: History, words: Words) -> Chart | None:
    pair = curves.pair(name)
    if not pair:
        return None
    roles = ["validation" if curve.name.startswith("val_") else "train" for curve in pair]
    log = name == "loss" and is_wide(pair)
    lowest, highest = min(curve.finite.min() for curve in pair), max(curve.finite.max() for curve in pair)
    floor = FLOOR if name in UNBOUNDED and lowest < FLOOR < highest else None
    label = words.metric(name)
    notes = [words("chart.log")] * log + [words("chart.floor", floor=f"{FLOOR:g}")] * (floor is not None)
    lines = [Line(role, curve.thinned(curves.best_epoch)) for curve, role in zip(pair, roles, strict=True)]
    legend = [(line.role + " dense" * line.is_dense, words(f"legend.{line.role}")) for line in lines]
    if curves.best_epoch is not None:
        legend.append(("best", best_name(curves, name, words)))
    marked, apart = marks(name, pair, curves, words), gap(pair, curves, words)
    legend += [(mark.look, mark.name) for mark in marked] + ([("gap", apart.name)] if apart else [])
    return Chart(
        id=f"chart-{name.replace('_', '-')}",
        title=words.joined([capitalized(words("chart.title", name=label)), *notes]),
        description=words("sentences").join(
            [_described(curve, role, label, curves, words) for curve, role in zip(pair, roles, strict=True)]
            + [words("chart.marked", name=capitalized(told)) for told in _told(marked, apart)]
        ),
        lines=lines,
        legend=legend,
        log=log,
        floor=floor,
        best_epoch=curves.best_epoch,
        marks=tuple(marked),
        gap=apart,
    )


def _told(marked: list[Mark], apart: Gap | None) -> list[str]:
    return [mark.name for mark in marked] + ([apart.name] if apart else [])


def _described(curve: Curve, role: str, label: str, curves: History, words: Words) -> str:
    first, last = curve.finite[0], curve.finite[-1]
    sentence = words(
        "chart.described",
        name=label,
        role=words(f"legend.{role}"),
        first=format_number(first),
        last=format_number(last),
    )
    best = curve.at(curves.best_epoch)
    if best is None or role != "validation":
        return sentence
    return f"{sentence} {words('chart.best', epoch=curves.best_epoch, value=format_number(best))}"


def _learning_rate(curves: History, words: Words) -> Chart | None:
    rate = curves.curves.get("learning_rate")
    if rate is None or not len(rate.finite) or constant_rate(curves) is not None:
        return None
    values = {"first": f"{rate.finite[0]:.3g}", "last": f"{rate.finite[-1]:.3g}", "highest": f"{rate.finite.max():.3g}"}
    return Chart(
        id="chart-learning-rate",
        title=words("chart.rate"),
        description=words("chart.rate_described", **values),
        lines=[Line("single", rate.thinned())],
        legend=[],
        width=NARROW_WIDTH,
    )
