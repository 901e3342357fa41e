"""How each layer fared while it learned: a row a layer, strips of colour over the probed epochs.

A scale is shared by all layers of a column, so that a gradient that vanishes towards the input is seen as a strip that
fades from row to row.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from tfday7.core.records import LARGEST
from tfday7.reporting.plot import add, canvas, tell
from tfday7.reporting.records import RunRecords, count, mapping, mappings, number, string
from tfday7.reporting.words import Words

MAX_LAYERS, MAX_PROBES = 30, 16
WIDTH, HEIGHT = 128, 18
FAINTEST = 0.08  # Opacity of the smallest value; what was not measured has no colour at all.
DECADES = 8.0  # Below the largest value; what is smaller is as faint.
NUMBERS = ("mean", "std", "spread", "dead_share", "saturated_share", "gradient", "weight", "change", "statistics_gap")
Value = float | None


def _ratio(layer: dict[str, Any]) -> Value:
    change, weight = number(layer.get("change")), number(layer.get("weight"))
    return change / weight if change is not None and weight else None


def _share(layer: dict[str, Any]) -> Value:
    return max((v for n in ("dead_share", "saturated_share") if (v := number(layer.get(n))) is not None), default=None)


COLUMNS: dict[str, Callable[[dict[str, Any]], Value]] = {
    "gradient": lambda layer: number(layer.get("gradient")),
    "std": lambda layer: number(layer.get("std")),
    "share": _share,
    "ratio": _ratio,
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A strip, as markup, and its last value as text."""

    strip: Any
    last: str


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer: its anchor on the page, name, kind, cells by column, and the numbers of the last probe."""

    id: str
    name: str
    kind: str
    cells: list[Cell]
    numbers: list[Value]


@dataclasses.dataclass(frozen=True)
class Layers:
    """What the page shows of the layers.

    Attributes:
        first, last: probed epochs.
        columns: those of which anything was measured.
        rows: the layers that are shown; `hidden` more are not.
        numbers: names of the last probe's numbers, those of which anything was measured.
    """

    first: int
    last: int
    columns: list[str]
    rows: list[LayerRow]
    hidden: int
    numbers: list[str]

    @property
    def anchors(self) -> dict[str, str]:
        """The anchor of each layer that is shown, by its name."""
        return {row.name: row.id for row in self.rows}


def layers(records: RunRecords, words: Words, named: set[str]) -> Layers | None:
    """Returns the layers of a run; None where none were probed.

    Args:
        records: of the run.
        words: the language.
        named: layers that findings name, which are shown wherever they stand.

    Raises:
        UserError: health.json is damaged.
    """
    probes = [probe for probe in mappings(records.health.get("probes"), "health.json: probes") if probe.get("layers")]
    if not probes:
        return None
    every = math.ceil(len(probes) / MAX_PROBES)
    chosen = probes[::-1][::every][::-1]  # The last one always.
    epochs = [count(probe.get("epoch")) or 0 for probe in chosen]
    tables = [{string(layer.get("name")): layer for layer in _of(probe)} for probe in chosen]
    names = [name for index, name in enumerate(tables[-1]) if index < MAX_LAYERS or name in named]
    names = names[: 2 * MAX_LAYERS]
    series = {c: {n: [read(t.get(n, {})) for t in tables] for n in names} for c, read in COLUMNS.items()}
    columns = [c for c in COLUMNS if any(v is not None for values in series[c].values() for v in values)]
    drawn = {c: dict(_strips(c, series[c], epochs, words)) for c in columns}
    numbers = [key for key in NUMBERS if any(number(tables[-1][n].get(key)) is not None for n in names)]
    rows = [
        LayerRow(
            id=f"layer-{index}",
            name=name,
            kind=string(tables[-1][name].get("kind")),
            cells=[drawn[c][name] for c in columns],
            numbers=[number(tables[-1][name].get(key)) for key in numbers],
        )
        for index, name in enumerate(names, start=1)
    ]
    return Layers(epochs[0], epochs[-1], columns, rows, len(tables[-1]) - len(rows), numbers)


def shown(value: Value, column: str = "") -> str:
    """Returns a value with three digits, shares as percentages; unknown is "?"."""
    if value is None:
        return "?"
    return f"{100 * value:.3g}%" if column in ("share", "dead_share", "saturated_share") else f"{value:.3g}"


def _of(probe: dict[str, Any]) -> list[dict[str, Any]]:
    return [mapping(layer, "health.json: layers") for layer in mappings(probe.get("layers"), "health.json: layers")]


def _strips(column: str, series: dict[str, list[Value]], epochs: list[int], words: Words) -> Iterator[tuple[str, Cell]]:
    """Yields the strip of each layer, all on one scale."""
    from markupsafe import Markup

    known = [v for values in series.values() for v in values if v is not None and 0 < v < LARGEST]
    low, high = (min(known), max(known)) if known else (1.0, 1.0)
    scale = (max(low, high / 10**DECADES), high)
    quantity = words(f"layers.{column}")
    for name, values in series.items():
        last = values[-1]
        strip = _strip(column, name, values, epochs, scale, quantity, words)
        yield name, Cell(Markup(strip), "" if last is None else shown(last, column))  # noqa: S704 - ElementTree's


def _strip(
    column: str, name: str, values: list[Value], epochs: list[int], scale: tuple[float, float], quantity: str,
    words: Words,
) -> str:  # fmt: skip
    known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
    if not known:
        return ""
    (start, first), (end, last) = known[0], known[-1]
    ends = {"first": shown(first, column), "last": shown(last, column), "start": start, "end": end}
    root = canvas(WIDTH, HEIGHT, words("layers.described", quantity=quantity, layer=name, **ends), look="strip")
    wide = WIDTH / len(values)
    for index, (epoch, value) in enumerate(zip(epochs, values, strict=True)):
        if value is not None:
            dark = f"{_opacity(value, column, scale):.2f}"
            look = "cell share" if column == "share" else "cell"
            cell = add(root, "rect", look, x=index * wide, y=0, width=wide, height=HEIGHT, fill_opacity=dark)
            tell(cell, words("layers.told", layer=name, epoch=epoch, value=shown(value, column)))
    return ElementTree.tostring(root, encoding="unicode")


def _opacity(value: float, column: str, scale: tuple[float, float]) -> float:
    if column == "share":
        place = value
    else:
        low, high = scale
        within = min(max(value, low), high)
        place = 1.0 if low == high else math.log(within / low) / math.log(high / low)
    return FAINTEST + (1 - FAINTEST) * min(max(place, 0.0), 1.0)
