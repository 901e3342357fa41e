"""The figures of a search's report: computed from its record, each with a sentence that says the same."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from xml.etree import ElementTree

from tfday7.reporting import axes, parallel
from tfday7.reporting.axes import CHOICE, Axis
from tfday7.reporting.figures import Figure, figure, series
from tfday7.reporting.parallel import MOST, spoken
from tfday7.reporting.plot import LETTER, Plot, add, canvas, write
from tfday7.reporting.records import count, mappings, number, string
from tfday7.reporting.search import shown
from tfday7.reporting.search_records import SearchRecords, Training, curve, spread
from tfday7.reporting.words import Words, capitalized

HALF = 440
ROW = 30  # Height of a row of bars or of spreads.


def drawn(records: SearchRecords, most: int = MOST) -> list[Training]:
    """Returns the trials that are shown, the best first, then those that led nowhere: all of them if they are few."""
    kept = min(most // 5, len(records.infeasible))
    return [*records.ranked[: most - kept], *records.infeasible[:kept]]


def all_trials(records: SearchRecords, found: Sequence[Axis], unit: str, say: Words) -> Figure | None:
    """Returns the parallel coordinates; None without hyperparameters."""
    if not found:
        return None
    trials, best = drawn(records), records.ranked[0]
    lines = parallel.Lines(found, _objective(records, unit), records.maximized, trials, unit)
    description = say(
        "page.parallel_described", count=len(trials), names=say("page.names").join(axis.name for axis in found),
        best=spoken(best, unit, say),
    )  # fmt: skip
    notes = [say("page.parallel_note")]
    if any(axis.of(trial) is None for axis in found for trial in trials):
        notes.append(say("page.bridge_note"))
    if any(axis.seams for axis in found):
        notes.append(say("page.seam_note"))
    if len(trials) < len(records.trials):
        notes.append(say("page.some", shown=len(trials), count=len(records.trials)))
    legend = [("best", say("legend.best", number=best.number)), ("ramp", say("legend.ramp"))]
    legend += [("nowhere", say("legend.nowhere"))] * bool(records.infeasible)
    drawing = parallel.draw(lines, description, say)
    look = "compact" if lines.width == parallel.COMPACT else "full"
    return figure(say("page.parallel"), drawing, legend, look, say("page.sentences").join(notes))


def progress(records: SearchRecords, unit: str, say: Words, beside: bool) -> Figure:
    """Returns the objective over the trials, with the best so far."""
    numbers = [trial.number for trial in records.trials]
    x = axes.numeric("", [min(numbers) - 0.5, max(numbers) + 0.5], whole=True)
    width, height = (270, 348) if beside else (HALF, 240)
    best = records.ranked[0]
    description = say(
        "page.progress_described", objective=unit, number=best.number, value=shown(best.value), count=len(numbers)
    )
    plot = Plot(description, x, _objective(records, unit), width, height)
    asked = count(records.record.get("trials_asked"))
    seam = x.place(asked + 0.5) if asked and records.listed("widened") else None
    if seam is not None:
        plot.upright(seam, "seam", say("legend.widened"))
    plot.line([(x.place(n), plot.y.place(value)) for n, value in _so_far(records)], "so-far")
    _dots(plot, [(x.place(trial.number), trial) for trial in drawn(records)], records, unit, say)
    legend = [("trial", say("legend.trial")), ("so-far", say("legend.so_far"))]
    legend += [("seam", say("legend.widened"))] * (seam is not None)
    return figure(capitalized(say("page.progress", objective=unit)), plot.svg(), legend, "beside" if beside else "half")


def ranges(records: SearchRecords, found: Sequence[Axis], unit: str, say: Words) -> list[Figure]:
    """Returns a small chart for each hyperparameter, which shows whether its range was wide enough."""
    figures = []
    for x in found:
        best = next(trial for trial in records.ranked)
        value = next((best.values[key] for key in x.keys if key in best.values), None)
        name = "page.range_described" if value is not None else "page.range_without"
        description = say(name, name=x.name, objective=unit, value=shown(value), number=best.number)
        plot = Plot(description, x, _objective(records, unit))
        for seam in x.seams:
            place = x.place(seam)
            if place is not None:
                plot.upright(place, "seam", say("legend.bound"))
        _dots(plot, [(x.of(trial), trial) for trial in drawn(records)], records, unit, say)
        legend = [("seam", say("legend.bound"))] if x.seams else []
        figures.append(figure(x.name, plot.svg(), legend, "small"))
    return figures


def importance(records: SearchRecords, say: Words) -> Figure | None:
    """Returns how much each hyperparameter mattered, as bars; None when there were too few trials to say."""
    shares = [(string(entry.get("name")), number(entry.get("share"))) for entry in records.listed("importance")]
    known = [(name, share) for name, share in shares if share is not None][:20]
    if not known:
        return None
    left, height = _margin([name for name, _ in known]), ROW * len(known) + 8
    described = say("page.names").join(f"{name} {share:.0%}" for name, share in known)
    root = canvas(HALF, height, say("page.importance_described", shares=described))
    longest = HALF - left - 52
    for index, (name, share) in enumerate(known):
        down = ROW * index + 8
        write(root, left - 10, down + 15, name, "end", int(left / LETTER))
        width = max(1.5, longest * min(1.0, max(0.0, share)))
        add(root, "rect", "bar", x=left, y=down + 2, width=width, height=ROW - 13, rx=2.0)
        write(root, left + width + 8, down + 15, f"{share:.0%}", look="name")
    return figure(say("page.importance"), ElementTree.tostring(root, encoding="unicode"), [], "half",
                  say("page.importance_note"))  # fmt: skip


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
        left=_margin(names),
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
    """Returns the rows of a bake-off, the best mean first, those without one last."""
    sign = -1.0 if records.maximized else 1.0

    def order(row: dict[str, object]) -> tuple[bool, float]:
        found = spread(row)
        return (False, sign * found["mean"]) if found else (True, 0.0)

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


def _so_far(records: SearchRecords) -> list[tuple[float, float]]:
    """Returns the steps of the best value, trial after trial."""
    better = max if records.maximized else min
    steps: list[tuple[float, float]] = []
    for trial in records.trials:
        if trial.value is None and steps:
            steps.append((trial.number, steps[-1][1]))
        elif trial.value is not None:
            before = steps[-1][1] if steps else trial.value
            steps += [(trial.number, before), (trial.number, better(before, trial.value))]
    return steps


def _dots(
    plot: Plot, placed: list[tuple[float | None, Training]], records: SearchRecords, unit: str, say: Words
) -> None:
    """Draws trials, the best one last so that it lies on top."""
    for across, trial in reversed(placed):
        if across is None:
            continue
        up, told = plot.y.place(trial.value), spoken(trial, unit, say)
        if trial.value is None:
            plot.cross(across, "nowhere", told)
        elif up is not None:
            best = trial.number == records.best_number
            plot.dot(across, up, "best" if best else "trial", told, 5.0 if best else 3.5)


def _objective(records: SearchRecords, unit: str) -> Axis:
    return axes.objective(unit, [trial.value for trial in records.trials], records.maximized)


def _margin(names: Sequence[str]) -> int:
    """Returns the room for names beside a chart: what the longest needs, two fifths of the chart at most."""
    wide = max(sum(2 if ord(letter) > 0x2E80 else 1 for letter in name) for name in names)
    return int(min(0.4 * HALF, max(40, wide * LETTER + 16)))
