"""The figures of the trainings with other seeds: of the best settings, or of each optimizer of a bake-off."""

from __future__ import annotations

import dataclasses
import statistics

from tfday7.reporting import axes
from tfday7.reporting.axes import CHOICE, Axis
from tfday7.reporting.figures import Figure, figure, series
from tfday7.reporting.plot import HALF, ROW, Plot, margin
from tfday7.reporting.records import count, mappings, number, string
from tfday7.reporting.search import shown
from tfday7.reporting.search_records import SearchRecords, curve, spread
from tfday7.reporting.words import Words, capitalized


@dataclasses.dataclass(frozen=True)
class Spread:
    """What came out with several seeds: a name, the ends, the mean, the values that are known one by one, a look."""

    name: str
    low: float
    mean: float
    high: float
    values: tuple[float, ...]
    look: str


def seeds(records: SearchRecords, unit: str, say: Words) -> Figure | None:
    """Returns how far the results lie apart with other seeds, a row an optimizer; None without reruns."""
    rows = _of_optimizers(records) if records.compare else _of_best(records, say)
    if not rows:
        return None
    ends = [end for row in rows for end in (row.low, row.high)]
    room = 0.06 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 0.5
    names = [row.name for row in rows]
    described = [
        say("page.seeds_row", name=row.name, mean=shown(row.mean), low=shown(row.low), high=shown(row.high))
        for row in rows
    ]
    plot = Plot(
        say("page.semicolon").join(described),
        axes.numeric(unit, [min(ends) - room, max(ends) + room]),
        Axis("", CHOICE, choices=tuple(dict.fromkeys(reversed(names)))),
        HALF,
        ROW * len(rows) + 36,
        left=margin(names, HALF),
    )
    for row, told in zip(rows, described, strict=True):
        _row(plot, row, told)
    return figure(capitalized(say("page.seeds", objective=unit)), plot.svg(), [], "half", say("page.seeds_note"))


def _of_optimizers(records: SearchRecords) -> list[Spread]:
    rows = zip(ranked_optimizers(records), optimizer_order(records), strict=True)
    known = [(string(row.get("optimizer")), spread(row), series(colour)) for row, colour in rows]
    return [
        Spread(name, found["low"], found["mean"], found["high"], (found["low"], found["high"]), look)
        for name, found, look in known
        if found
    ]


def _of_best(records: SearchRecords, say: Words) -> list[Spread]:
    values = tuple(rerun.value for rerun in records.reruns if rerun.value is not None)
    best = records.ranked[0].value
    if not values or best is None:
        return []
    again = Spread(say("page.reruns"), min(values), statistics.fmean(values), max(values), values, series(0))
    return [Spread(say("page.best_trial"), best, best, best, (best,), "best"), again]


def _row(plot: Plot, row: Spread, told: str) -> None:
    down = plot.y.place(row.name) or 0.0
    low, mean, high = (plot.x.place(value) or 0.0 for value in (row.low, row.mean, row.high))
    if low < high:
        plot.line([(low, down), (high, down)], f"span {row.look}", told)
    for value in row.values:
        place = plot.x.place(value)
        if place is not None:
            plot.dot(place, down, row.look, f"{row.name}: {shown(value)}", radius=5.0 if row.look == "best" else 3.5)
    if low < high:
        plot.mark(mean, down, row.look, told)


def training_curves(records: SearchRecords, unit: str, say: Words) -> Figure | None:
    """Returns the objective by epoch of the reruns, mean and range, a colour an optimizer; None without reruns."""
    if records.compare:
        rows = ranked_optimizers(records)
        groups = [(string(row.get("optimizer")), curves_of(row)) for row in rows]
        colours = optimizer_order(records)
    else:
        groups, colours = [(say("page.reruns"), [rerun.curve for rerun in records.reruns])], [0]
    points = [value for _, found in groups for each in found for value in each if value is not None]
    longest = max((len(each) for _, found in groups for each in found), default=0)
    if not points:
        return None
    x = axes.numeric("", [1.0, float(max(2, longest))], whole=True)
    y = axes.objective(unit, [*points, number(records.compare.get("target"))], records.maximized)
    ends = [f"{name} {shown(_mean(found, len(max(found, key=len)) - 1))}" for name, found in groups if any(found)]
    description = say("page.curves_described", objective=unit, ends=say("page.names").join(ends))
    plot = Plot(description, x, y, HALF, 300 if records.compare else 200)
    target = number(records.compare.get("target"))
    place = y.place(target) if target is not None else None
    if place is not None:
        plot.level(place, "seam", say("legend.target", value=shown(target)))
    for (name, found), colour in reversed(list(zip(groups, colours, strict=True))):
        _curve(plot, name, found, series(colour))
    legend = [(series(colour), name) for (name, _), colour in zip(groups, colours, strict=True)]
    legend += [("seam", say("legend.target", value=shown(target)))] * (place is not None)
    title = capitalized(say("page.curves", objective=unit))
    return figure(title, plot.svg(), legend, "half", say("page.curves_note"))


def ranked_optimizers(records: SearchRecords) -> list[dict[str, object]]:
    """Returns the rows of a bake-off, that with the fewest failed seeds and the best mean first, without one last."""
    sign = -1.0 if records.maximized else 1.0

    def order(row: dict[str, object]) -> tuple[bool, int, float]:
        found = spread(row)
        return (False, count(row.get("failed")) or 0, sign * found["mean"]) if found else (True, 0, 0.0)

    return sorted(mappings(records.compare.get("optimizers"), "tuning.json: compare: optimizers"), key=order)


def optimizer_order(records: SearchRecords) -> list[int]:
    """Returns the colour of each ranked optimizer: its place in the record, so that a new ranking keeps the colours."""
    recorded = mappings(records.compare.get("optimizers"), "tuning.json: compare: optimizers")
    names = [string(row.get("optimizer")) for row in recorded]
    return [names.index(string(row.get("optimizer"))) for row in ranked_optimizers(records)]


def curves_of(row: dict[str, object]) -> list[list[float | None]]:
    """Returns the curves of an optimizer's reruns."""
    found = row.get("curves")
    return [curve(each) for each in found] if isinstance(found, list) else []


def _curve(plot: Plot, name: str, found: list[list[float | None]], look: str) -> None:
    length = max((len(each) for each in found), default=0)
    means: list[tuple[float | None, float | None]] = []
    outline = []
    for epoch in range(length):
        known = [each[epoch] for each in found if epoch < len(each) and each[epoch] is not None]
        places = [place for value in known if (place := plot.y.place(value)) is not None]
        x = plot.x.place(epoch + 1)
        means.append((x, plot.y.place(_mean(found, epoch))))
        outline.append((x, min(places, default=None), max(places, default=None)))
    plot.band(outline, look)
    plot.line(means, look, name)


def _mean(found: list[list[float | None]], epoch: int) -> float | None:
    known = [value for each in found if epoch < len(each) and (value := each[epoch]) is not None]
    return statistics.fmean(known) if known else None
