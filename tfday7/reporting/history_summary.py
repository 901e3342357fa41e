"""What the terminal shows of a diagnosed history: its curves, the verdict with all findings, and what was not seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.reporting.findings import Advice, Finding, verdict
from tfday7.reporting.records import RunRecords, mappings, string
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Group


def history_summary(diagnosis: Mapping[str, Any], loss: np.ndarray, val_loss: np.ndarray, lang: str = "en") -> Group:
    """Returns a diagnosed history as a rich renderable.

    Args:
        diagnosis: the record, as in diagnosis.json.
        loss, val_loss: float64 [epochs], NaN where there is no value.
        lang: "en" or "zh".
    """
    import numpy as np
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from tfday7.reporting.text_plot import text_plot

    words = Words(lang)
    found = verdict(RunRecords(Path(), "", diagnosis=dict(diagnosis)), words)
    plot = text_plot(loss, val_loss)
    legend = [words("text_plot", validated=words("text_plot.validation") if np.isfinite(val_loss).any() else "")]
    sure = words("text_verdict", verdict=found.sentence, percent=100 * found.confidence) if found.confidence else ""
    lines = [line for finding in found.findings for line in _finding(finding, words)]
    missing = mappings(diagnosis.get("unseen"), "unseen")
    unseen = [words.recorded(string(entry.get("id")), string(entry.get("text")), {}) for entry in missing]
    lines += [(0, ""), (0, words("unseen"))] * bool(unseen) + [(2, line) for line in unseen]
    head = [Text(line, no_wrap=True) for line in [*plot, *legend * bool(plot), ""]]
    body = [Padding(Text(printable(line) or " "), (0, 0, 0, indent), expand=False) for indent, line in lines]
    return Group(*head, Text(printable(sure or found.sentence), style="bold"), *body)


def _finding(finding: Finding, words: Words) -> list[tuple[int, str]]:
    """Returns the lines of a finding, each with its indentation."""
    title = words("note.reason", name=words(f"severity.{finding.severity}"), reason=finding.title)
    lines = [(0, ""), (0, title)]
    for heading, entries in ((words("causes"), finding.causes), (words("remedies"), finding.remedies)):
        lines += [(2, heading)] * bool(entries) + [(4, _with_flag(entry)) for entry in entries]
    return lines


def _with_flag(entry: Advice) -> str:
    return entry.text + (f"  {entry.flag}" if entry.flag else "")
