"""Advice on an optimizer, as `tfday7.advise` shows it: the choice, why, starting values, tuning, what to watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.texts import text
from tfday7.reporting.commands import wrapped
from tfday7.reporting.terminal import MAX_WIDTH

if TYPE_CHECKING:
    from rich.console import Group

COMMAND = ("python", "-m", "tfday7.train")
COMMAND_WIDTH = 76
Line = tuple[int, str]  # Indent and text.


def optimizer_advice(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns the record of `Advice.to_json(lang)` as a rich renderable; lang is "en" or "zh"."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.text import Text

    names = {"optimizer": record["optimizer"], "runner_up": record["runner_up"]}
    headline = Text(printable(text("advice.label.choice", lang, **names)), style="bold")
    parts: list[Any] = [headline]
    for lines in (_why(record, lang), _start(record, lang), _tune(record, lang), _watch(record, lang)):
        parts.append(Text())
        for indent, line in lines:
            style = "" if indent else "bold"
            parts.append(Constrain(Padding(Text(printable(line), style), (0, 0, 0, indent), expand=False), MAX_WIDTH))
    return Group(*parts)


def _why(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    yield 0, text("advice.label.why", lang)
    for reason in record["reasons"]:
        yield 2, reason["text"]
        yield 4, text("advice.label.source", lang, source=reason["source"])
    assumed = [name for name, origin in record["origins"].items() if origin == "assumed"]
    if assumed:
        flags = [f"--{name}={str(record['inputs'][name]).lower()}" for name in assumed]
        yield 2, text("advice.label.assumed", lang, names=text("advice.label.separator", lang).join(flags))


def _start(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    """The flags in the order in which they are typed; a whole command where the data are known."""
    flags = list(record["flags"])
    whole = any(flag.startswith("--data=") for flag in flags)
    yield 0, text("advice.label.start" if whole else "advice.label.add", lang)
    yield from ((2, line) for line in wrapped([*COMMAND, *flags] if whole else flags, COMMAND_WIDTH))


def _tune(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    if not record["tune"]:
        yield 0, text("advice.label.tune_nothing", lang)
        return
    yield 0, text("advice.label.tune", lang)
    for entry in record["tune"]:
        yield 2, text("advice.label.tune_entry", lang, **{**entry, "range": _range(entry, lang)})


def _range(entry: Mapping[str, Any], lang: str) -> str:
    if entry["scale"] == "choice":
        values = text("advice.label.separator", lang).join(f"{value:g}" for value in entry["range"])
        return text("advice.label.range.choice", lang, values=values)
    low, high = entry["range"]
    return text(f"advice.label.range.{entry['scale']}", lang, low=low, high=high)


def _watch(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    yield 0, text("advice.label.watch", lang)
    for sign in record["watch"]:
        yield 2, sign["sign"]
        yield 4, sign["action"]
        if sign["flags"]:
            yield 4, " ".join(sign["flags"])
