"""What the terminal shows at the end of an export: each file beside the Keras model, and where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.reporting.comparison import compare
from tfday7.reporting.records import RunRecords, mapping, string, strings
from tfday7.reporting.terminal import ComparisonTable, paths_table, why
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


def export_summary(artefacts: list[dict[str, Any]], name: str, lang: str = "en") -> Group:
    """Returns the end of an export as a rich renderable.

    Args:
        artefacts: records, as in exports.json.
        name: of the model, the first part of the files' names.
        lang: "en" or "zh".
    """
    from rich.console import Group
    from rich.text import Text

    words = Words(lang)
    table = compare(RunRecords(Path(), name, artefacts=artefacts))
    parts: list[RenderableType] = [ComparisonTable(table, words)]
    lines = [why(row, words) for row in table.rows if row.reasons]
    for row, artefact in zip(table.rows, artefacts, strict=True):
        where = string(mapping(artefact.get("parting"), "parting").get("sentence"))
        lines += [words("note.reason", name=row.label, reason=reason) for reason in [where] if reason]
        lines += [words("note.reason", name=row.label, reason=note) for note in strings(artefact.get("notes"))]
    parts += [Text(printable(line)) for line in lines]
    places = [(row.label, row.path) for row in table.rows if row.path]
    if places:
        parts += [Text(), paths_table(places)]
    return Group(*parts)
