"""Which operators of a file a target accelerates, which not and why. To add a target, write `targets/NAME.py` with

    @TARGETS.register("NAME")
    def judge(path: Path, summary: Summary | None) -> Judgement: ...

and its sentences in core/texts/acceleration.json: `target.NAME` and one for each reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfday7.core.registry import Registry
from tfday7.core.texts import text
from tfday7.exporting.tflite_contents import Summary

AREA = "acceleration"


@dataclasses.dataclass(frozen=True)
class Remark:
    """A sentence for people: its id in core/texts/acceleration.json, and the values that it needs."""

    id: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)

    def text(self, lang: str = "en") -> str:
        """Returns the sentence."""
        return text(f"{AREA}.{self.id}", lang, **self.values)


@dataclasses.dataclass(frozen=True)
class OpVerdict:
    """One operator.

    Attributes:
        index: its place in its subgraph; of a runtime's own layers, their place in the order of execution.
        op, name: its kind, and its first output.
        macs: multiply-accumulates, by its shapes; None where they are not known, as inside of a loop.
        reason: why it is not accelerated; None when it is.
        subgraph: where it is.
    """

    index: int
    op: str
    name: str
    macs: int | None
    reason: Remark | None = None
    subgraph: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain values, with the reason's id, its values and the English sentence."""
        record: dict[str, Any] = {
            "subgraph": self.subgraph,
            "index": self.index,
            "op": self.op,
            "name": self.name,
            "macs": self.macs,
        }
        if self.reason is not None:
            record["reason"] = {"id": self.reason.id, "values": self.reason.values, "text": self.reason.text()}
        return record


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a target makes of a file.

    Attributes:
        target: a name of `TARGETS`.
        accelerated, not_accelerated: every operator is in one of them, in the file's order.
        measured: asked of the target's own software on this machine, not judged by its documented rules.
        notes: what else is to be known.
    """

    target: str
    accelerated: tuple[OpVerdict, ...]
    not_accelerated: tuple[OpVerdict, ...]
    measured: bool
    notes: tuple[Remark, ...] = ()

    @property
    def share_of_operators(self) -> float | None:
        """Accelerated operators over all; None where there are none."""
        every = len(self.accelerated) + len(self.not_accelerated)
        return len(self.accelerated) / every if every else None

    @property
    def share_of_macs(self) -> float | None:
        """Multiply-accumulates of accelerated operators over all; None where they are not known or there are none."""
        found = [verdict.macs for verdict in (*self.accelerated, *self.not_accelerated)]
        known = [macs for macs in found if macs is not None]
        if len(known) < len(found) or not sum(known):
            return None
        return sum(verdict.macs or 0 for verdict in self.accelerated) / sum(known)

    def by_reason(self) -> dict[str, list[OpVerdict]]:
        """Returns what is not accelerated by the id of the reason, in the file's order."""
        found: dict[str, list[OpVerdict]] = {}
        for verdict in self.not_accelerated:
            found.setdefault(verdict.reason.id if verdict.reason else "", []).append(verdict)
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain values."""
        return {
            "target": self.target,
            "measured": self.measured,
            "share_of_operators": self.share_of_operators,
            "share_of_macs": self.share_of_macs,
            "accelerated": [verdict.to_json() for verdict in self.accelerated],
            "not_accelerated": [verdict.to_json() for verdict in self.not_accelerated],
            "notes": [{"id": note.id, "values": note.values, "text": note.text()} for note in self.notes],
        }


Judge = Callable[[Path, Summary | None], Judgement]
TARGETS: Registry[Judge] = Registry("acceleration target", "tfday7.benchmarking.acceleration.targets")


def judgement(target: str, verdicts: Sequence[OpVerdict], measured: bool, notes: Sequence[Remark] = ()) -> Judgement:
    """Returns a judgement of verdicts in their order."""
    return Judgement(
        target,
        tuple(verdict for verdict in verdicts if verdict.reason is None),
        tuple(verdict for verdict in verdicts if verdict.reason is not None),
        measured,
        tuple(notes),
    )
