"""A plot as SVG elements that the page's style sheet colours; every mark can tell what it stands for.

The tree is built with ElementTree, so that each name in it is escaped. Looks are classes: the page's
Content-Security-Policy allows no inline styles, and classes follow the light and the dark scheme and the printer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from tfday7.reporting.axes import CHOICE, Axis

LETTER = 6.4  # Width of a label's letter in pixels, about.
HALF, ROW = 440, 30  # Width of a chart that takes half the page; height of a row of bars or of spreads.
Point = tuple[float, float]


@dataclasses.dataclass
class Plot:
    """A frame with two axes, into which marks are put by their places from 0 to 1 on them.

    Args:
        description: what it shows, for screen readers.
        x, y: the axes.
        width, height: in CSS pixels at the page's usual size.
        left, bottom: margins for the labels; `flipped` puts the low end of y at the top.
    """

    description: str
    x: Axis
    y: Axis
    width: int = 300
    height: int = 200
    left: int = 46
    bottom: int = 26
    right: int = 12
    top: int = 10
    flipped: bool = False

    def __post_init__(self) -> None:
        self.root = canvas(self.width, self.height, self.description)
        self._grid()

    def at(self, x: float, y: float) -> Point:
        """Returns the pixel of a place."""
        up = 1 - y if self.flipped else y
        return (
            self.left + x * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def line(self, points: Sequence[tuple[float | None, float | None]], look: str, told: str = "") -> None:
        """Draws a line through places; None is a gap, and a point between two gaps a dot."""
        for run in runs(points):
            if len(run) == 1:
                self.dot(*run[0], look, told)
                continue
            path = add(self.root, "path", "line " + look, d=path_of(self.at(*point) for point in run))
            tell(path, told)

    def band(self, points: Sequence[tuple[float | None, float | None, float | None]], look: str) -> None:
        """Fills the range between two values along x, from triples of x, low and high."""
        whole = [(x, low, high) for x, low, high in points if x is not None and low is not None and high is not None]
        if len(whole) > 1:
            outline = [self.at(x, high) for x, _, high in whole] + [self.at(x, low) for x, low, _ in reversed(whole)]
            add(self.root, "path", "band " + look, d=path_of(outline) + "Z")

    def dot(self, x: float, y: float, look: str, told: str = "", radius: float = 3.5) -> None:
        """Draws a dot."""
        across, down = self.at(x, y)
        tell(add(self.root, "circle", "dot " + look, cx=across, cy=down, r=radius), told)

    def mark(self, x: float, y: float, look: str, told: str = "") -> None:
        """Draws a short upright stroke, for the mean of what lies beside it."""
        across, down = self.at(x, y)
        tell(add(self.root, "path", "mark " + look, d=path_of([(across, down - 9), (across, down + 9)])), told)

    def cross(self, x: float, look: str, told: str = "") -> None:
        """Draws a cross on the lower edge, for what has no value."""
        across, down = self.at(x, 0.0)[0], self.height - self.bottom
        path = path_of([(across - 3.5, down - 3.5), (across + 3.5, down + 3.5)])
        path += path_of([(across - 3.5, down + 3.5), (across + 3.5, down - 3.5)])
        tell(add(self.root, "path", "cross " + look, d=path), told)

    def upright(self, x: float, look: str, told: str = "") -> None:
        """Draws a line at a value of x."""
        tell(add(self.root, "path", "rule " + look, d=path_of([self.at(x, 0.0), self.at(x, 1.0)])), told)

    def level(self, y: float, look: str, told: str = "") -> None:
        """Draws a line at a value of y."""
        tell(add(self.root, "path", "rule " + look, d=path_of([self.at(0.0, y), self.at(1.0, y)])), told)

    def svg(self) -> str:
        """Returns the plot as text."""
        return ElementTree.tostring(self.root, encoding="unicode")

    def _grid(self) -> None:
        across = self.width - self.left - self.right
        slots = len(self.x.choices) if self.x.scale == CHOICE else max(2, across // 52)
        for place, label in self.y.ticks(len(self.y.choices) or 5):
            _, down = self.at(0.0, place)
            add(self.root, "path", "grid", d=path_of([(self.left, down), (self.width - self.right, down)]))
            fits = self.left / LETTER if self.y.scale == CHOICE else 99
            write(self.root, self.left - 7, down + 4, label, "end", int(fits))
        floor = self.height - self.bottom
        add(self.root, "path", "floor", d=path_of([(self.left, floor), (self.width - self.right, floor)]))
        shown = self.x.ticks(min(slots, max(2, across // 34)))
        for place, label in shown:
            fits = across / len(shown) / LETTER if self.x.scale == CHOICE else 99
            write(self.root, self.at(place, 0.0)[0], floor + 18, label, "middle", max(2, int(fits)))


def canvas(width: float, height: float, description: str, role: str = "img", look: str = "plot") -> ElementTree.Element:
    """Returns an empty picture with its description as the accessible name."""
    named = {"class": look, "role": role, "aria-label": description, "focusable": "false"}
    return ElementTree.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", **named})


def add(parent: ElementTree.Element, tag: str, look: str = "", **attributes: float | str) -> ElementTree.Element:
    """Adds an element; numbers are written with a tenth of a pixel."""
    written = {
        name.replace("_", "-"): value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
        for name, value in attributes.items()
    }
    return ElementTree.SubElement(parent, tag, {"class": look, **written} if look else written)


def write(
    parent: ElementTree.Element, x: float, y: float, text: str, anchor: str = "start", limit: int = 99, look: str = ""
) -> ElementTree.Element:
    """Adds a label; one that is longer than `limit` letters is cut and tells the rest."""
    element = add(parent, "text", look, x=x, y=y, text_anchor=anchor)
    element.text = text if len(text) <= limit else text[: max(1, limit - 1)] + "…"
    if len(text) > limit:
        tell(element, text)
    return element


def tell(element: ElementTree.Element, text: str) -> None:
    """Gives an element the text that a pointer shows."""
    if text:
        title = ElementTree.Element("title")
        title.text = text
        element.insert(0, title)


def path_of(points: Iterable[Point]) -> str:
    """Returns the path through some pixels."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def runs(points: Sequence[tuple[float | None, float | None]]) -> Iterator[list[Point]]:
    """Yields the stretches of points between gaps."""
    run: list[Point] = []
    for x, y in points:
        if x is None or y is None:
            if run:
                yield run
            run = []
        else:
            run.append((x, y))
    if run:
        yield run


def margin(names: Sequence[str], width: int) -> int:
    """Returns the room for names beside a chart: what the longest needs, two fifths of the chart at most."""
    wide = max(sum(2 if ord(letter) > 0x2E80 else 1 for letter in name) for name in names)
    return int(min(0.4 * width, max(40, wide * LETTER + 16)))
