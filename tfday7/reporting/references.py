"""What guessing, a linear model and nearest neighbours reach with the same data, beside the model: on one axis."""

from __future__ import annotations

import dataclasses

from tfday7.core.units import format_number
from tfday7.reporting.axes import CHOICE, FLOOR, LINEAR, Axis
from tfday7.reporting.figures import Figure, figure
from tfday7.reporting.plot import HALF, ROW, Plot, margin, write
from tfday7.reporting.records import RunRecords, mapping, number, string
from tfday7.reporting.words import Words, capitalized

METHODS = ("shuffled", "constant", "neighbours", "linear")
IN_A_LINE = ("constant", "linear", "model")
ROOM = 56  # Pixels for the value beside a dot at the axis's end.


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a method reaches on the validation split; the method is "model" for the run's own."""

    method: str
    name: str
    value: float


def references(records: RunRecords, words: Words) -> list[Reference]:
    """Returns what is known, the model last; nothing where no reference was measured.

    Raises:
        UserError: health.json is damaged.
    """
    measured = mapping(records.health.get("references"), "health.json: references")
    values = {name: number(measured.get(name)) for name in METHODS}
    if all(value is None for value in values.values()):
        return []
    values["model"] = number(records.of_run("metric").get("validation"))
    return [  # The mean's R² is 0 but for rounding.
        Reference(name, words(f"references.{name}"), round(value, 9) + 0.0)
        for name, value in values.items()
        if value is not None
    ]


def ceiling(records: RunRecords) -> float | None:
    """Returns the best that any model can reach, where examples with the same inputs and other labels tell."""
    return number(mapping(records.health.get("references"), "health.json: references").get("ceiling"))


def line(records: RunRecords, words: Words) -> str:
    """Returns the references as one line for a terminal; empty where none was measured."""
    found = {each.method: each for each in references(records, words)}
    told = [
        words("references.value", name=found[name].name, value=format_number(found[name].value, 2))
        for name in IN_A_LINE
        if name in found
    ]
    return words("references.line", names=words.joined(told)) if told else ""


def references_figure(records: RunRecords, words: Words) -> Figure | None:
    """Returns the dots; None where no reference was measured."""
    rows, top = references(records, words), ceiling(records)
    if not rows:
        return None
    metric = words.metric(string(records.of_run("metric").get("name")))
    told = [words("references.value", name=row.name, value=format_number(row.value)) for row in rows]
    limit = ""
    if top is not None:
        limit = words("references.value", name=words("references.ceiling"), value=format_number(top))
    names = [row.name for row in rows]
    plot = Plot(
        words("semicolon").join([*told, limit] if limit else told),
        _axis(metric, [*(row.value for row in rows), *([top] if top is not None else [])]),
        Axis("", CHOICE, choices=tuple(names)),
        HALF,
        ROW * len(rows) + 36,
        left=margin(names, HALF),
        right=ROOM,
    )
    if top is not None and (place := plot.x.place(top)) is not None:
        plot.upright(place, "ceiling", limit)
    for row, said in zip(rows, told, strict=True):
        _dot(plot, row, said)
    title = capitalized(words("references.title", metric=metric))
    return figure(title, plot.svg(), [("ceiling", limit)] if limit else [], "alone")


def _axis(name: str, values: list[float]) -> Axis:
    """Returns an axis of all values; an R² below -1 is shown there, as how bad it is would press the rest together."""
    low, high = max(min(values), FLOOR), max(*values, FLOOR)
    room = 0.04 * (high - low) or 0.05
    return Axis(name, LINEAR, low - room, high + room, clamped=True)


def _dot(plot: Plot, row: Reference, said: str) -> None:
    across, up = plot.x.place(row.value) or 0.0, plot.y.place(row.name) or 0.0
    model = row.method == "model"
    plot.dot(across, up, "best" if model else "", said, radius=5.5 if model else 4.5)
    x, y = plot.at(across, up)
    write(plot.root, x + 10, y + 4, format_number(row.value), look="over name" if model else "over")
