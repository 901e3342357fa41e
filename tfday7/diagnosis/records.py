"""What a diagnosis says, as it goes to diagnosis.json; sentences are English there, their ids make other languages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.core.texts import table, text, title_id


@dataclasses.dataclass(frozen=True)
class Advice:
    """A cause, or a remedy with the flag that applies it.

    Attributes:
        id: of the sentence in the table of texts.
        text: the sentence in English.
        flag: for example "--dropout=0.3"; empty for a cause, or when no flag does it.
    """

    id: str
    text: str
    flag: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        id: of the check, for example "overfit".
        severity: "info", "warning" or "error".
        title: one sentence in English.
        evidence: the measured values that the sentences are filled with.
        causes, remedies: ranked, the likeliest first.
    """

    id: str
    severity: str
    title: str
    evidence: dict[str, Any]
    causes: list[Advice]
    remedies: list[Advice]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The verdict over all findings.

    Attributes:
        verdict: "overfit", "underfit", "good_fit", "unstable", "broken" or "undetermined".
        confidence: 0 to 1, how far the deciding value lies from its threshold.
        findings: what the checks found, the deciding one first.
        unseen: what could not be seen, for lack of records; without it the verdict may be wrong.
    """

    verdict: str
    confidence: float
    findings: list[Finding]
    unseen: list[Advice] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)


def finding(
    identifier: str, severity: str, evidence: dict[str, Any], causes: list[str], remedies: Mapping[str, str | None]
) -> Finding:
    """Returns a finding whose sentences come from the table of texts.

    Args:
        identifier: the check's id; the texts are `diagnosis.<id>.title` (see `title_id`), `.cause.<name>` and
            `.remedy.<name>`, and where there is none of them `diagnosis.shared.cause.<name>` and so on.
        severity: "info", "warning" or "error".
        evidence: values for the sentences; None where one was not measured.
        causes: names of causes, the likeliest first.
        remedies: names of remedies, the best first, each with its flag; those with None are left out.
    """
    cause_ids = [_known(identifier, f"cause.{name}") for name in causes]
    remedy_ids = {_known(identifier, f"remedy.{name}"): flag for name, flag in remedies.items() if flag is not None}
    return Finding(
        id=identifier,
        severity=severity,
        title=text(title_id(identifier, evidence), **evidence),
        evidence=evidence,
        causes=[Advice(i, text(i, **evidence)) for i in cause_ids],
        remedies=[Advice(i, text(i, **evidence), flag) for i, flag in remedy_ids.items()],
    )


def _known(identifier: str, name: str) -> str:
    """Returns the id of a finding's own sentence, or else of that which all findings share."""
    own = f"diagnosis.{identifier}.{name}"
    return own if own in table() else f"diagnosis.shared.{name}"
