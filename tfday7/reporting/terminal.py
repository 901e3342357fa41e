"""What the terminal shows at the end of a run: the verdict, the table before and after, and where things lie.

Plain text that reads the same in a pipe: no colour is needed to understand it, and lines stay within 100 columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tfday7.core.printing import printable
from tfday7.core.run_folder import MODEL, REPORT, RunFolder
from tfday7.core.units import format_bytes, format_count, format_number
from tfday7.reporting import references
from tfday7.reporting.comparison import Comparison, Row, compare
from tfday7.reporting.details import targets
from tfday7.reporting.findings import Verdict, verdict
from tfday7.reporting.headline import headline, milliseconds
from tfday7.reporting.phrases import agreement, reasons, relative
from tfday7.reporting.records import read
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
    from rich.table import Table

MAX_WIDTH = 100
FINDINGS = 3
EXPENDABLE = ("ratio", "gzip", "agreement", "latency")  # Columns, the first to go when the console is narrow first.


def summary(folder: RunFolder, lang: str = "en") -> Group:
    """Returns the end of a run as a rich renderable.

    Args:
        folder: the run folder; what it does not hold is left out.
        lang: "en" or "zh".

    Raises:
        UserError: a record is damaged.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    words = Words(lang)
    records = read(folder)
    table, found = compare(records), verdict(records, words)
    parts: list[RenderableType] = [Text(printable(headline(found, table, words)), style="bold")]
    parts += [
        Padding(Text(printable(line)), (0, 0, 0, indent), expand=False) for indent, line in _evidence(found, words)
    ]
    told = references.line(records, words)
    parts += [Padding(Text(printable(told)), (0, 0, 0, 2), expand=False)] if told else []
    if table.rows or table.keras_metric is not None:
        parts += [Text(), ComparisonTable(table, words)]
        parts += [Text(printable(f"{line.name}: {line.value}")) for line in targets(records, words)]
        parts += [Text(printable(line)) for line in _notes(table, words)]
    places = _places(folder, table)
    if places:
        parts += [Text(), paths_table(places)]
    return Group(*parts)


class ComparisonTable:
    """The table before and after as a rich renderable; on a narrow console it leaves columns out, not letters.

    Args:
        table: what to draw.
        words: in which language.
    """

    def __init__(self, table: Comparison, words: Words) -> None:
        self.table = table
        self.words = words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = {name: cells for name, cells in self._columns().items() if any(c not in ("", "?") for c in cells)}
        for name in EXPENDABLE:
            drawn = self._draw(columns)
            if drawn.__rich_measure__(console, options.update(max_width=MAX_WIDTH)).maximum <= options.max_width:
                break
            columns.pop(name, None)
        yield self._draw(columns)

    def _columns(self) -> dict[str, list[str]]:
        rows = self.table.rows
        return {
            "model": [self.words("row.keras"), *(row.label for row in rows)],
            "size": ["", *(format_bytes(row.size_bytes) for row in rows)],
            "gzip": ["", *(format_bytes(row.gzip_bytes) for row in rows)],
            "metric": [format_number(self.table.keras_metric), *(format_number(row.metric) for row in rows)],
            "difference": ["", *(relative(row.relative_difference) for row in rows)],
            "agreement": ["", *(agreement(row.agreement) for row in rows)],
            "latency": ["", *(milliseconds(row.latency_ms) for row in rows)],
            "ratio": ["", *("?" if row.latency_ratio is None else f"{row.latency_ratio:.2f}x" for row in rows)],
            "state": ["", *(self.words(f"state.{row.state}") for row in rows)],
        }

    def _draw(self, columns: dict[str, list[str]]) -> Table:
        from rich.box import Box
        from rich.table import Table
        from rich.text import Text

        box = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
        drawn = Table(box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in columns:
            heading = self.words.metric(self.table.metric) if name == "metric" else self.words(f"column.{name}")
            side: Literal["left", "right"] = "left" if name in ("model", "state") else "right"
            drawn.add_column(Text(printable(heading)), justify=side, no_wrap=name != "model", overflow="fold")
        for cells in zip(*columns.values(), strict=True):
            drawn.add_row(*(Text(printable(cell)) for cell in cells))
        return drawn


def _evidence(found: Verdict, words: Words) -> list[tuple[int, str]]:
    """Returns the titles of the main findings, each with its first remedy; every line with its indentation."""
    lines = []
    for finding in found.findings[:FINDINGS]:
        severity = words(f"severity.{finding.severity}")
        lines.append((2, words("note.reason", name=severity, reason=finding.title)))
        if finding.remedies:
            remedy = finding.remedies[0]
            lines.append((4, words("try", remedy=remedy.text) + (f"  {remedy.flag}" if remedy.flag else "")))
    return lines


def _notes(table: Comparison, words: Words) -> list[str]:
    lines = [words("note.parameters", count=format_count(table.parameters))] if table.parameters is not None else []
    if table.conditions:
        conditions = {name: table.conditions.get(name, "?") for name in ("device", "threads", "batch_size")}
        lines.append(words("note.latency", **conditions))
    return lines + [why(row, words) for row in table.rows if row.reasons]


def why(row: Row, words: Words) -> str:
    """Returns the sentence that says why an artefact does not hold."""
    return words("note.reason", name=row.label, reason=words("sentences").join(reasons(row, words)))


def _places(folder: RunFolder, table: Comparison) -> list[tuple[str, str]]:
    """Returns what was made and where it lies, the report last, where people look."""
    files = [(row.label, row.path) for row in table.rows if row.path]
    model, report = ([(name, str(folder / name))] if (folder / name).exists() else [] for name in (MODEL, REPORT))
    return [*model, *files, *report]


def paths_table(places: list[tuple[str, str]]) -> Table:
    """Returns labels and paths as two columns."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for label, path in places:
        drawn.add_row(Text(printable(label)), Text(printable(path)))
    return drawn
