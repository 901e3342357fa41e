"""Advice on compression, as `tfday7.advise` shows it: techniques in order with why, for, against, speed and command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.texts import text
from tfday7.reporting.commands import wrapped
from tfday7.reporting.optimizer_advice import Line
from tfday7.reporting.terminal import MAX_WIDTH

if TYPE_CHECKING:
    from rich.console import Group

AREA = "compression"
COMMAND_WIDTH = 70  # With its indent it fits a terminal of 80 columns: broken there, no shell takes it for one.


def compression_advice(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns the record of `CompressionAdvice.to_json(lang)` as a rich renderable; lang is "en" or "zh"."""
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


def _label(name: str, lang: str, **values: Any) -> str:
    return text(f"{AREA}.label.{name}", lang, **values)


def _lines(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    techniques = record["techniques"]
    device = record["inputs"]["device"]
    if techniques:
        yield 0, _label("headline", lang, device=device, recipe=techniques[0]["recipe"], title=techniques[0]["title"])
    else:
        yield 0, _label("nothing", lang, device=device)
    yield from _claim(record["device"], 2, lang)
    if record["operators"] is not None:
        yield from _claim(record["operators"], 2, lang)
    told: set[str] = set()
    if techniques:
        yield 0, ""
        yield 0, _label("techniques", lang)
    for place, technique in enumerate(techniques, start=1):
        yield 0, ""
        yield from _technique(place, technique, told, lang)
    yield from _rest(record, lang)


def _technique(place: int, technique: Mapping[str, Any], told: set[str], lang: str) -> Iterator[Line]:
    """Yields a technique; what is said of a part is told once, and `told` remembers of which it has been."""
    yield 2, _label("technique", lang, place=place, recipe=technique["recipe"], title=technique["title"])
    if technique["weights_kb"] is not None:
        yield 5, _label("weights", lang, kb=technique["weights_kb"])
    claims: list[tuple[str, Mapping[str, Any], dict[str, str]]] = [("why", claim, {}) for claim in technique["why"]]
    claims += [("advantage", claim, {}) for claim in technique["advantages"]]
    claims += [("drawback", claim, {}) for claim in technique["drawbacks"]]
    claims += [("speed", claim, _speed(claim, lang)) for claim in technique["speed"]]
    sources: dict[str, None] = {}
    for label, claim, values in claims:
        if label != "why" and claim["id"] in told:
            continue
        yield 5, _label(label, lang, sentence=claim["text"], **values)
        sources |= dict.fromkeys(claim["source"].split(_label("separator", lang)))
    above = [claim["part"] for claim in technique["speed"] if claim["id"] in told]
    if above:
        names = [text(f"{AREA}.part.{part}", lang) for part in above]
        yield 5, _label("above", lang, parts=", ".join(names))
    told |= {claim["id"] for _, claim, _ in claims}
    yield 5, _label("sources", lang, sources=_label("separator", lang).join(sources))
    yield 5, _label("run", lang)
    yield from ((7, line) for line in _command(technique["command"]))


def _speed(claim: Mapping[str, Any], lang: str) -> dict[str, str]:
    part = text(f"{AREA}.part.{claim['part']}", lang)
    return {"part": part, "effect": text(f"{AREA}.effect.{claim['effect']}", lang)}


def _rest(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    if record["notes"]:
        yield 0, ""
        yield 0, _label("notes", lang)
        for note in record["notes"]:
            yield from _claim(note, 2, lang)
    if record["then"] and record["techniques"]:
        yield 0, ""
        yield 0, _label("then", lang)
        for command in record["then"]:
            yield from ((2, line) for line in _command(command))
    with_more = {entry["recipe"] for entry in record["with_more"]}
    others = [entry for entry in record["left_out"] if entry["recipe"] not in with_more]
    for name, entries in (("with_more", record["with_more"]), ("left_out", others)):
        if entries:
            yield 0, ""
            yield 0, _label(name, lang)
        for sentence, recipes in _by_sentence(entries).items():
            yield 2, _label("entry", lang, recipe=", ".join(recipes), sentence=sentence)
    assumed = [name for name, origin in record["origins"].items() if origin == "assumed"]
    if assumed:
        flags = [f"--{name}={str(record['inputs'][name]).lower()}" for name in assumed]
        yield 0, ""
        yield 2, _label("assumed", lang, names=", ".join(flags))


def _command(command: str) -> list[str]:
    """Returns a command as lines that a shell takes for one."""
    return wrapped(shlex.split(command), COMMAND_WIDTH)


def _by_sentence(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the recipes that the same sentence is true of, in their order."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry["text"], []).append(entry["recipe"])
    return found


def _claim(claim: Mapping[str, Any], indent: int, lang: str) -> Iterator[Line]:
    yield indent, claim["text"]
    yield indent + 2, _label("source", lang, source=claim["source"])
