"""The contract of a check. To add one, write `checks/NAME.py` with

    @CHECKS.register("NAME")
    def check(evidence: Evidence) -> Match | None: ...

and its sentences in core/texts/diagnosis.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tfday7.core.registry import Registry
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import Finding


@dataclasses.dataclass(frozen=True)
class Match:
    """A check that found something.

    Attributes:
        verdict: what it would mean for the run; empty when it decides nothing by itself.
        finding: what was found.
        margin: how far the deciding value lies beyond its threshold, in units of the threshold; at least 0.
    """

    verdict: str
    finding: Finding
    margin: float


CHECKS: Registry[Callable[[Evidence], Match | None]] = Registry("check", "tfday7.diagnosis.checks")
