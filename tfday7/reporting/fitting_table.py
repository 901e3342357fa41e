"""A table of a benchmark that fits the terminal, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tfday7.core.printing import printable
from tfday7.core.units import format_count
from tfday7.reporting.terminal import MAX_WIDTH
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

LEFT = ("file", "runtime", "operator", "name", "target", "known_by")
EXPENDABLE = ("gzip", "first", "p99", "load", "p90", "rate", "memory", "size")  # The first to go first.


class FittingTable:
    """A table that leaves expendable columns out where the console is narrow, instead of letters.

    Args:
        columns: cells by the column's name; one that is empty throughout is not drawn.
        words: in which language; `column.<name>` is the heading, or the name itself where the table has none.
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], words: Words) -> None:
        self.columns = {name: list(cells) for name, cells in columns.items() if any(c not in ("", "?") for c in cells)}
        self.words = words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = dict(self.columns)
        for name in EXPENDABLE:
            drawn = self._draw(columns)
            if drawn.__rich_measure__(console, options.update(max_width=10_000)).maximum <= min(
                options.max_width, MAX_WIDTH
            ):
                break
            columns.pop(name, None)
        yield self._draw(columns)

    def _draw(self, columns: Mapping[str, Sequence[str]]) -> Table:
        from rich.box import Box
        from rich.table import Table
        from rich.text import Text

        box = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
        drawn = Table(box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in columns:
            side: Literal["left", "right"] = "left" if name in LEFT else "right"
            heading = self.words.known(f"column.{name}", name)
            drawn.add_column(Text(printable(heading)), justify=side, no_wrap=name not in LEFT, overflow="fold")
        for cells in zip(*columns.values(), strict=True):
            drawn.add_row(*(Text(printable(cell)) for cell in cells))
        return drawn


def milliseconds(value: float | None) -> str:
    """Returns for example "17.6 ms"."""
    return "?" if value is None else f"{significant(value)} ms"


def significant(value: float | None) -> str:
    """Returns a number with three significant digits, without an exponent: "0.00148", "2.35", "1,230"."""
    if value is None:
        return "?"
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    digits = max(0, 2 - int(f"{abs(rounded):e}".partition("e")[2]))
    return f"{rounded:,.{digits}f}" if digits else format_count(round(rounded))
