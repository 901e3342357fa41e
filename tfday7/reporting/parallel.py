"""Parallel coordinates: all trials of a search at once, a line each, from hyperparameter to hyperparameter.

Inselberg, 1985, The Visual Computer 1. The last axis is the objective, with its best end at the top. A line passes an
axis that means nothing with its optimizer dashed. Pointing at a line, or reaching it with the keyboard, dims the others
and reads its values out under the axes; following it leads to the trial's row in the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.etree import ElementTree

from tfday7.reporting.axes import CHOICE, Axis
from tfday7.reporting.plot import LETTER, Point, add, canvas, path_of, tell, write
from tfday7.reporting.search import shown
from tfday7.reporting.search_records import Training
from tfday7.reporting.words import Words

COMPACT, FULL, SPACING = 700, 1020, 108  # Widths for few and for many axes; the least distance between two.
LEFT, RIGHT, TOP, DEPTH, BOTTOM = 84, 66, 34, 250, 64
RANKS = 5  # Shades from the worst fifth to the best.
MOST = 300  # Lines that can be told apart at all.
STOPS = 20  # Lines that the Tab key visits: those of the best trials.
SPREAD = 0.6  # Of a choice's part of its axis, over which the lines of the trials that took it fan out.


@dataclasses.dataclass(frozen=True)
class Lines:
    """What is drawn.

    Attributes:
        axes: those of the hyperparameters.
        objective: the last axis.
        maximized: whether its high end is the best.
        trials: the best first, those that led nowhere last.
        unit: what people call the objective.
    """

    axes: Sequence[Axis]
    objective: Axis
    maximized: bool
    trials: Sequence[Training]
    unit: str

    @property
    def width(self) -> int:
        """The picture's width in CSS pixels."""
        least = LEFT + RIGHT + SPACING * len(self.axes)
        return COMPACT if least <= COMPACT - 20 else max(FULL, least)

    def across(self, index: int) -> float:
        """Returns where an axis stands."""
        return LEFT + index * (self.width - LEFT - RIGHT) / len(self.axes)


def draw(lines: Lines, description: str, say: Words) -> str:
    """Returns the picture as `<svg>` text."""
    root = canvas(lines.width, TOP + DEPTH + BOTTOM, description, role="group", look="parallel")
    root.attrib["width"] = str(lines.width)
    for index in range(len(lines.axes) + 1):
        x = lines.across(index)
        add(root, "path", "axis", d=path_of([(x, TOP), (x, TOP + DEPTH)]))
    feasible = [trial for trial in lines.trials if trial.value is not None]
    fans = [_fan(axis, lines.trials) for axis in lines.axes]
    for position in reversed(range(len(lines.trials))):
        trial = lines.trials[position]
        look = "nowhere" if trial.value is None else f"rank{_rank(position, len(feasible))}"
        look += " best" * (position == 0)
        link = add(root, "a", "trial " + look, href=f"#trial-{trial.number}")
        link.attrib |= {"tabindex": "0" if position < STOPS else "-1", "aria-label": spoken(trial, lines.unit, say)}
        _line(link, _points(trial, lines, fans), position == 0)
        _readout(link, trial, lines, say)
    for index, axis in enumerate(lines.axes):  # Labels lie on top of the lines, or they could not be read.
        _labels(root, lines.across(index), axis, lines)
    _result(root, lines, say("page.nowhere") if len(feasible) < len(lines.trials) else "")
    return ElementTree.tostring(root, encoding="unicode")


def spoken(trial: Training, unit: str, say: Words) -> str:
    """Returns a trial in words: its number, what it reached, its settings."""
    settings = say("page.names").join(f"{key} {shown(value)}" for key, value in trial.values.items())
    value = reason(trial, say) if trial.value is None else shown(trial.value)
    name = "page.trial_nowhere" if trial.value is None else "page.trial"
    return say(name, number=trial.number, objective=unit, value=value, settings=settings)


def reason(trial: Training, say: Words) -> str:
    """Returns why a trial led nowhere; what the table does not know stays as it was written."""
    kind = trial.reason.partition(":")[0].replace(" ", "_")
    if say.lang == "en" or kind not in ("diverged", "stalled", "out_of_memory"):
        return trial.reason
    return say(f"reason.{kind}", epochs=trial.epochs or len(trial.curve))


def _labels(root: ElementTree.Element, x: float, axis: Axis, lines: Lines) -> None:
    """Names an axis and places along it, to its left."""
    letters = int((lines.width - LEFT - RIGHT) / len(lines.axes) / LETTER) - 2
    write(root, x, TOP - 18, axis.name, "middle", letters, look="name")
    fits = letters if axis.scale == CHOICE and x > LEFT else 12
    for place, label in axis.ticks(8 if axis.scale == CHOICE else 6):
        write(root, x - 8, TOP + DEPTH * (1 - place) + 4, label, "end", fits, "tick")
    for place in filter(None, map(axis.place, axis.seams)):
        down = TOP + DEPTH * (1 - place)
        add(root, "path", "seam", d=path_of([(x - 9, down), (x + 9, down)]))


def _result(root: ElementTree.Element, lines: Lines, nowhere: str) -> None:
    """Names the objective's axis, and what lies below it."""
    x, name = lines.across(len(lines.axes)), lines.objective.name
    wide = len(name) * LETTER > 2 * RIGHT - 10
    write(root, lines.width if wide else x, TOP - 18, name, "end" if wide else "middle", 30, look="name")
    for place, label in lines.objective.ticks(6):
        up = place if lines.maximized else 1 - place
        write(root, x + 8, TOP + DEPTH * (1 - up) + 4, label, look="tick")
    if nowhere:
        write(root, x, TOP + DEPTH + 27, nowhere, "middle", look="tick bad")


def _fan(axis: Axis, trials: Sequence[Training]) -> dict[int, float | None]:
    """Returns where each trial lies on an axis, by its number; those with the same choice side by side, best on top."""
    places = {trial.number: axis.of(trial) for trial in trials}
    if axis.scale != CHOICE:
        return places
    for slot in {place for place in places.values() if place is not None}:
        together = [number for number, place in places.items() if place == slot]
        for index, number in enumerate(together):
            share = 0.5 - index / (len(together) - 1) if len(together) > 1 else 0.0
            places[number] = slot + share * SPREAD / len(axis.choices)
    return places


def _points(trial: Training, lines: Lines, fans: Sequence[dict[int, float | None]]) -> list[Point | None]:
    """Returns the trial's pixel on each axis, None where it has none."""
    found: list[Point | None] = []
    for index, fan in enumerate(fans):
        place = fan[trial.number]
        found.append(None if place is None else (lines.across(index), TOP + DEPTH * (1 - place)))
    last, place = lines.across(len(lines.axes)), lines.objective.place(trial.value)
    if place is None:
        return [*found, (last, TOP + DEPTH + 10) if trial.value is None else None]
    return [*found, (last, TOP + DEPTH * (1 - place if lines.maximized else place))]


def _line(link: ElementTree.Element, points: list[Point | None], best: bool) -> None:
    solid: list[str] = []
    dashed: list[str] = []
    before: tuple[int, Point] | None = None
    for index, point in enumerate(points):
        if point is None:
            continue
        if before is not None:
            (solid if index - before[0] == 1 else dashed).append(_bend(before[1], point))
        before = (index, point)
    if best:
        add(link, "path", "halo", d="".join(solid))
    add(link, "path", "reach", d="".join(solid + dashed))
    for look, stretches in (("line", solid), ("bridge", dashed)):
        if stretches:
            add(link, "path", look, d="".join(stretches))
    for point in points if best else []:
        if point is not None:
            add(link, "circle", "dot", cx=point[0], cy=point[1], r=3.5)


def _bend(start: Point, end: Point) -> str:
    third = (end[0] - start[0]) / 3
    return (
        f"M{start[0]:.1f} {start[1]:.1f}C{start[0] + third:.1f} {start[1]:.1f} {end[0] - third:.1f} {end[1]:.1f} "
        f"{end[0]:.1f} {end[1]:.1f}"
    )


def _readout(link: ElementTree.Element, trial: Training, lines: Lines, say: Words) -> None:
    """Adds the trial's number and values under the axes, which show while the line is pointed at."""
    group, down = add(link, "g", "told"), TOP + DEPTH + BOTTOM - 12
    write(group, 0, down, say("page.number", number=trial.number), look="name")
    letters = int((lines.width - LEFT - RIGHT) / len(lines.axes) / LETTER) - 1
    for index, axis in enumerate(lines.axes):
        value = next((trial.values[key] for key in axis.keys if key in trial.values), None)
        if value is not None:
            write(group, lines.across(index), down, shown(value), "middle", letters)
    if trial.value is not None:
        write(group, lines.across(len(lines.axes)), down, shown(trial.value), "middle")
    else:
        tell(link, spoken(trial, lines.unit, say))


def _rank(position: int, feasible: int) -> int:
    """Returns the shade of a line, 4 for the best fifth."""
    return RANKS - 1 - min(RANKS - 1, position * RANKS // max(1, feasible))
