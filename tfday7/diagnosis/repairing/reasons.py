"""Why a remedy was kept or not: in English, and with what other languages say it with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfday7.core import texts
from tfday7.diagnosis.repairing.trained import Trained

FAILURES = ("diverged", "stalled", "out_of_memory")


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        id: of its sentence, "repair.reason.<id>" in the table of texts; empty for an error's message.
        said: in English where other words than the table's were used; an error's message is known in English alone.
        values: what the sentence is filled in with.
    """

    id: str
    said: str = ""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """Returns it in English."""
        return self.said or texts.text(f"repair.reason.{self.id}", **self.values)


def of_failed(trained: Trained) -> Reason:
    """Returns why a training ended without a result."""
    kind = trained.reason.partition(":")[0].replace(" ", "_")
    if trained.contradicts or kind not in FAILURES:
        return Reason("", trained.reason)
    return Reason(kind, trained.reason, {"epochs": len(trained.loss)})


def record(reasons: Sequence[Reason]) -> dict[str, Any]:
    """Returns what fix.json says of the reasons: in English, and each with its id and values where it has an id."""
    return {
        "reason": "; ".join(reason.text() for reason in reasons),
        "reasons": [
            {"id": f"repair.reason.{reason.id}" if reason.id else "", "text": reason.text(), **reason.values}
            for reason in reasons
        ],
    }
