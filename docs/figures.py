"""Puts figures into a page between two marks: what the makers of pages here share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "benchmarks" / "results"
END = "<!-- end of figures -->\n"


def measured(name: str) -> Any:
    """Returns what a benchmark has measured, from its results file."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def between(text: str, begin: str, figures: str) -> str:
    """Returns a page with these figures between its two marks.

    Args:
        text: of the page, with a line `begin` and after it a line `END`.
        begin: the first mark.
        figures: lines of Markdown.

    Raises:
        ValueError: a mark is missing.
    """
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"the page has no {(begin if not found else END).strip()}")
    return before + begin + figures + END + after


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table's lines."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def bring_up_to_date(path: Path, page: Callable[[str], str]) -> None:
    """Writes a page anew; `page` returns its new text for its old one."""
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
