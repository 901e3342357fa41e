"""Advice on how a model fits, as `tfday7.advise` shows it: what it looks like, the causes, what helps and its cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.texts import text
from tfday7.reporting.optimizer_advice import Line
from tfday7.reporting.terminal import MAX_WIDTH

if TYPE_CHECKING:
    from rich.console import Group


def fit_advice(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns the record of `FitAdvice.to_json(lang)` as a rich renderable; lang is "en" or "zh"."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Any] = []
    for indent, line in _lines(record, lang):
        style = "" if indent else "bold"
        if not line:
            parts.append(Text())
            continue
        parts.append(Constrain(Padding(Text(printable(line), style), (0, 0, 0, indent), expand=False), MAX_WIDTH))
    return Group(*parts)


def _lines(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    yield 0, text(f"fit.label.{record['symptom']}", lang)
    yield 0, ""
    yield 0, text("fit.label.signs", lang)
    yield from ((2, sign) for sign in record["signs"])
    yield 0, ""
    yield 0, text("fit.label.causes", lang)
    told: set[str] = set()
    for place, cause in enumerate(record["causes"], start=1):
        yield 0, ""
        yield from _cause(place, cause, told, lang)
    yield 0, ""
    if record["origins"]["model"] == "assumed":
        yield 2, text("fit.label.assumed", lang, model=record["inputs"]["model"])
    yield 2, text("fit.label.proof", lang)


def _cause(place: int, cause: Mapping[str, Any], told: set[str], lang: str) -> Iterator[Line]:
    """Yields a cause with what helps; what it costs is said once, and `told` remembers of what it has been."""
    yield 2, text("fit.label.cause", lang, place=place, cause=cause["text"])
    yield from ((5, text("fit.label.why", lang, sentence=sentence)) for sentence in cause["why"])
    yield 5, text("fit.label.recognise", lang, sentence=cause["recognise"])
    for solution in cause["solutions"]:
        flag = f"  {solution['flag']}" if solution["flag"] else ""
        yield 5, text("fit.label.solution", lang, sentence=solution["text"]) + flag
        if solution["id"] in told:
            continue
        told.add(solution["id"])
        yield 7, text("fit.label.cost", lang, **solution["cost"])
