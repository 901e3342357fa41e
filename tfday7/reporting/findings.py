"""The diagnosis in the reader's language: the verdict, and each finding with its evidence, causes and remedies."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.core import texts
from tfday7.reporting.records import RunRecords, mapping, mappings, number, string
from tfday7.reporting.words import Words

SEVERITIES = ("info", "warning", "error")


@dataclasses.dataclass(frozen=True)
class Advice:
    """A cause or a remedy; the flag is empty when none applies."""

    text: str
    flag: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding; `evidence` are pairs of a name and a number or text; `layer` is what it is about, or empty."""

    severity: str
    title: str
    evidence: list[tuple[str, float | str]]
    causes: list[Advice]
    remedies: list[Advice]
    layer: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the diagnosis says.

    Attributes:
        id: for example "overfit"; empty when there is no diagnosis.
        label: the verdict in a word or two.
        sentence: the verdict as a sentence.
        confidence: 0 to 1, or None.
        findings: the deciding one first.
        unseen: sentences on what could not be checked.
    """

    id: str
    label: str
    sentence: str
    confidence: float | None
    findings: list[Finding]
    unseen: tuple[str, ...] = ()


def verdict(records: RunRecords, words: Words) -> Verdict:
    """Returns the verdict of diagnosis.json; one with an empty id when there is none."""
    record = records.diagnosis
    name = string(record.get("verdict"))
    label = words.known(f"verdict.{name}", name.replace("_", " "))
    return Verdict(
        id=name,
        label=label if name else "",
        sentence=words.recorded(f"diagnosis.verdict.{name}", "", {}) or label if name else "",
        confidence=number(record.get("confidence")),
        findings=[_finding(entry, words) for entry in mappings(record.get("findings"), "diagnosis.json: findings")],
        unseen=tuple(
            words.recorded(string(entry.get("id")), string(entry.get("text")), entry)
            for entry in mappings(record.get("unseen"), "diagnosis.json: unseen")
        ),
    )


def _finding(record: dict[str, Any], words: Words) -> Finding:
    evidence = mapping(record.get("evidence"), "diagnosis.json: evidence")
    severity = string(record.get("severity"))
    title_id = texts.title_id(string(record.get("id")), evidence)
    return Finding(
        severity=severity if severity in SEVERITIES else "info",
        title=words.recorded(title_id, string(record.get("title")), evidence),
        evidence=[
            (_evidence_name(name, words), _evidence_value(name, value, words))
            for name, value in evidence.items()
            if value is not None
        ],
        causes=_advice(record, "causes", evidence, words),
        remedies=_advice(record, "remedies", evidence, words),
        layer=evidence["layer"] if isinstance(evidence.get("layer"), str) else "",
    )


def _advice(record: dict[str, Any], kind: str, evidence: dict[str, Any], words: Words) -> list[Advice]:
    return [
        Advice(words.recorded(string(entry.get("id")), string(entry.get("text")), evidence), string(entry.get("flag")))
        for entry in mappings(record.get(kind), f"diagnosis.json: {kind}")
    ]


def _evidence_name(name: str, words: Words) -> str:
    return words.known(f"evidence.{name}", name.replace("_", " "))


def _evidence_value(name: str, value: Any, words: Words) -> float | str:
    as_number = number(value)
    if as_number is not None:
        return as_number
    return string(value) if name == "layer" else words.metric(string(value))
