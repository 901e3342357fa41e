"""What targets accelerate of artefacts, on the terminal: a table for each file, then why the rest is not."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.reporting.fitting_table import FittingTable
from tfday7.reporting.records import mapping, mappings, number, string, strings
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

SHOWN_REASONS = 6  # For each target; --json has all.
SHOWN_KINDS = 6  # Of operators for each reason.
OF_ONE_OPERATOR = ("op", "tensor")

Judgement = Mapping[str, Any]


def acceleration_summary(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns what `benchmarking.checking.check` found as a rich renderable.

    Args:
        record: its result, and optionally "notes".
        lang: "en" or "zh".

    Raises:
        UserError: the record is damaged.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    words = Words(lang, "benchmark")
    parts: list[RenderableType] = []
    for artefact in mappings(record.get("artefacts"), "check: artefacts"):
        judgements = mappings(artefact.get("judgements"), "check: judgements")
        parts.append(Text(printable(words("accelerated", file=string(artefact.get("file")))), style="bold"))
        judged = [judgement for judgement in judgements if not judgement.get("failure")]
        parts += [FittingTable(_table(judged, words), words), Text()] if judged else []
        for judgement in judgements:
            name = string(judgement.get("target"))
            title = Words(lang, "acceleration").known(f"target.{name}", name)
            parts.append(Text(printable(words("target", name=name, title=title))))
            lines = sentences(judgement, words)
            parts += [Padding(Text(printable(line)), (0, 0, 0, 2), expand=False) for line in lines]
        parts.append(Text())
    parts += [Text(printable(note)) for note in strings(record.get("notes"))]
    return Group(*parts)


def sentences(judgement: Judgement, words: Words) -> Iterable[str]:
    """Yields what is accelerated, what is not and why, and what else is to be known.

    Operators that differ in nothing but their kind and tensors share a reason, which is told of the first of them.
    """
    if judgement.get("failure"):
        yield words("not_judged", reason=string(judgement["failure"]))
        return
    taken = [string(verdict.get("op")) for verdict in mappings(judgement.get("accelerated"), "check: accelerated")]
    if taken:
        yield words("accelerated_operators", operators=counted(taken, words))
    reasons: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in mappings(judgement.get("not_accelerated"), "check: not_accelerated"):
        reasons.setdefault(_kind(verdict), []).append(verdict)
    for same in list(reasons.values())[:SHOWN_REASONS]:
        operators = counted([string(verdict.get("op")) for verdict in same], words)
        reason = _remark(mapping(same[0].get("reason"), "check: reason"), words)
        yield words("not_accelerated", operators=operators, reason=reason)
    rest = sum(len(same) for same in list(reasons.values())[SHOWN_REASONS:])
    if rest:
        yield words("more_reasons", count=rest)
    for note in mappings(judgement.get("notes"), "check: notes"):
        yield _remark(note, words)


def _kind(verdict: Mapping[str, Any]) -> str:
    """Returns what reasons have in common that are told together."""
    reason = mapping(verdict.get("reason"), "check: reason")
    values = mapping(reason.get("values"), "check: values")
    return repr((reason.get("id"), {name: value for name, value in values.items() if name not in OF_ONE_OPERATOR}))


def counted(names: Sequence[str], words: Words) -> str:
    """Returns for example "CONV_2D ×3, SOFTMAX"."""
    found = collections.Counter(names).most_common()
    shown = [f"{name} ×{count}" if count > 1 else name for name, count in found[:SHOWN_KINDS]]
    more = [words("and_more", count=len(found) - SHOWN_KINDS)] if len(found) > SHOWN_KINDS else []
    return Words(words.lang).joined([*shown, *more])


def _table(judged: Sequence[Judgement], words: Words) -> dict[str, list[str]]:
    return {
        "target": [string(judgement.get("target")) for judgement in judged],
        "operators": [_operators(judgement, words) for judgement in judged],
        "macs": [_share(judgement.get("share_of_macs")) for judgement in judged],
        "known_by": [words("measured" if judgement.get("measured") else "by_rules") for judgement in judged],
    }


def _operators(judgement: Judgement, words: Words) -> str:
    taken, left = (len(mappings(judgement.get(name), f"check: {name}")) for name in ("accelerated", "not_accelerated"))
    return words("of", part=taken, whole=taken + left)


def _share(value: Any) -> str:
    share = number(value)
    return "?" if share is None else f"{share:.1%}"


def _remark(remark: Mapping[str, Any], words: Words) -> str:
    values = mapping(remark.get("values"), "check: values")
    return words.recorded(f"acceleration.{remark.get('id')}", string(remark.get("text")), values)
