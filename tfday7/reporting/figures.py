"""A figure of the page: a drawing with its heading, its legend and a remark."""

from __future__ import annotations

import dataclasses
from typing import Any

SERIES = 8  # Colours that can be told apart; further series repeat them with other dashes.


@dataclasses.dataclass(frozen=True)
class Figure:
    """What a template needs to show a drawing.

    Attributes:
        title: its heading.
        drawing: the SVG, as markup.
        legend: pairs of a look and its name.
        look: the class of its box: "", "small", "half" or "full".
        note: a remark under the heading, or empty.
    """

    title: str
    drawing: Any
    legend: tuple[tuple[str, str], ...] = ()
    look: str = ""
    note: str = ""


def figure(title: str, svg: str, legend: list[tuple[str, str]], look: str = "", note: str = "") -> Figure:
    """Returns a figure of an SVG that ElementTree wrote, which escapes every name in it."""
    from markupsafe import Markup

    return Figure(title, Markup(svg), tuple(legend), look, note)  # noqa: S704


def series(index: int) -> str:
    """Returns the look of one of several series."""
    return f"series{index % SERIES} dash{index // SERIES % 3}"
