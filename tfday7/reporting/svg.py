"""Draws a chart as SVG that lives inside the page and follows its colours and fonts.

Matplotlib draws in sentinel colours. Each is replaced by a CSS variable of the page, style attributes become
presentation attributes (the page's Content-Security-Policy allows no inline styles), and ids get the chart's name.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from tfday7.reporting.axes import tick
from tfday7.reporting.charts import HEIGHT, Chart, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, TOP, BOTTOM = 42, 8, 8, 24  # Margins in CSS pixels, for the axis labels.
DPI = 72  # Matplotlib's SVG unit is a point; at 72 dots an inch one point is one CSS pixel of the view box.
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COLORS = {
    "#ab0001": "var(--plot-text)",
    "#ab0002": "var(--plot-grid)",
    "#ab0003": "var(--train)",
    "#ab0004": "var(--accent)",
    "#ab0005": "var(--surface)",
    "#ab0006": "var(--ink)",
}
TEXT, GRID, TRAIN, ACCENT, SURFACE, INK = COLORS
UPRIGHTS: dict[str, Any] = {"stop": (0, (5, 3)), "ended": "-"}
STYLES: dict[str, dict[str, Any]] = {
    "train": {"color": TRAIN, "linewidth": 1.5, "linestyle": (0, (4, 2.5))},
    "validation": {"color": ACCENT, "linewidth": 2.0},
    "single": {"color": TRAIN, "linewidth": 1.5},
}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "font.family": "DejaVu Sans",  # Comes with matplotlib: the same metrics everywhere. The page's font is shown.
    "axes.unicode_minus": True,
    "path.simplify": False,
}


def draw(chart: Chart) -> str:
    """Returns the chart as an `<svg>` element, named by its description for screen readers."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**SETTINGS, "svg.hashsalt": chart.id}):
        figure = Figure(figsize=(chart.width / DPI, HEIGHT / DPI), dpi=DPI)
        FigureCanvasSVG(figure)
        _plot(figure, chart)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return clean(buffer.getvalue(), chart.id, chart.description)


def _plot(figure: Figure, chart: Chart) -> None:
    width, height = chart.width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    axes = figure.add_axes((LEFT / chart.width, BOTTOM / HEIGHT, width / chart.width, height / HEIGHT))
    for line in chart.lines:
        _line(axes, line, chart.best_epoch)
    _marks(axes, chart)
    if chart.best_epoch is not None and not any(mark.epoch == chart.best_epoch for mark in chart.marks):
        axes.axvline(chart.best_epoch, color=ACCENT, linewidth=1, linestyle=(0, (1, 2.5)), zorder=1)
    _scale(axes, chart)
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=TEXT, labelcolor=TEXT, pad=6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _line(axes: Axes, line: Line, best_epoch: int | None) -> None:
    x, y = line.curve.epochs, line.curve.values
    style = STYLES[line.role]
    if line.is_dense:
        style = {**style, "linewidth": 1.2, "linestyle": "-"}
    axes.plot(
        x, y, solid_capstyle="round", solid_joinstyle="round", zorder=3 if line.role == "validation" else 2, **style
    )
    lone = _lone(y)
    if lone.any():  # A point between two gaps is no line.
        axes.plot(x[lone], y[lone], linestyle="none", marker="o", markersize=5, color=style["color"], zorder=3)
    best = line.curve.at(best_epoch)
    if best_epoch is not None and best is not None and line.role == "validation":
        axes.plot([best_epoch], [best], marker="o", markersize=8, color=ACCENT, mec=SURFACE, mew=1.5, zorder=4)


def _marks(axes: Axes, chart: Chart) -> None:
    if chart.gap is not None and len(chart.gap.epochs) > 1:
        axes.fill_between(chart.gap.epochs, chart.gap.low, chart.gap.high, color=ACCENT, alpha=0.12, linewidth=0)
    for mark in chart.marks:
        if mark.look == "minimum":
            lowest = next((line.curve.at(mark.epoch) for line in chart.lines if line.role == "validation"), None)
            if lowest is not None:
                axes.plot([mark.epoch], [lowest], marker="o", markersize=9, color="none", mec=ACCENT, mew=1.5, zorder=4)
        else:
            axes.axvline(mark.epoch, color=INK, linewidth=1.2, linestyle=UPRIGHTS[mark.look], zorder=1)


def _lone(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    before, after = np.r_[False, finite[:-1]], np.r_[finite[1:], False]
    return finite & ~before & ~after


def _scale(axes: Axes, chart: Chart) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    epochs = np.concatenate([line.curve.epochs for line in chart.lines])
    first, last = float(epochs.min()), float(epochs.max())
    margin = 0.5 if first == last else (last - first) * 0.02
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, chart.width // 60), integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if chart.log:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if chart.floor is not None:
            highest = max(float(line.curve.finite.max()) for line in chart.lines)
            axes.set_ylim(chart.floor, highest + 0.05 * abs(highest - chart.floor))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def clean(drawn: bytes, name: str, description: str) -> str:
    """Returns matplotlib's SVG fit for a page.

    Args:
        drawn: what matplotlib wrote.
        name: prefix of every id, so that two charts on a page do not share one.
        description: becomes the accessible name.
    """
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - written by matplotlib in this process, not by a user.
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style", f"{{{SVG}}}title"):
                parent.remove(child)
    for element in root.iter():
        _unstyle(element)
        _rename(element, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-label": description, "class": "plot", "focusable": "false"}
    return ElementTree.tostring(root, encoding="unicode")


def _unstyle(element: ElementTree.Element) -> None:
    """Turns the style attribute into presentation attributes, and sentinel colours into the page's variables."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        if key.strip() and not key.strip().startswith("font"):  # The page chooses the font.
            element.attrib[key.strip()] = value.strip()
    for key, value in element.attrib.items():
        element.attrib[key] = COLORS.get(value.lower(), value)


def _rename(element: ElementTree.Element, name: str) -> None:
    if "id" in element.attrib:
        element.attrib["id"] = f"{name}-{element.attrib['id']}"
    if f"{{{XLINK}}}href" in element.attrib:
        element.attrib["href"] = f"#{name}-{element.attrib.pop(f'{{{XLINK}}}href').removeprefix('#')}"
    for key, value in element.attrib.items():
        element.attrib[key] = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value)
