"""The figures of a search's report: computed from its record, each with a sentence that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from tfday7.reporting import axes, parallel
from tfday7.reporting.axes import Axis
from tfday7.reporting.figures import Figure, figure
from tfday7.reporting.parallel import MOST, spoken
from tfday7.reporting.plot import HALF, LETTER, ROW, Plot, add, canvas, margin, write
from tfday7.reporting.records import count, number, string
from tfday7.reporting.search import shown
from tfday7.reporting.search_records import SearchRecords, Training
from tfday7.reporting.words import Words, capitalized


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
    left, height = margin([name for name, _ in known], HALF), ROW * len(known) + 8
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
