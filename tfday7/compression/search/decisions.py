"""What a search has tried, and what it decides to try next."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.records import Candidate
from tfday7.compression.search.space import Point


@dataclasses.dataclass(frozen=True)
class Trial:
    """A point that was tried with so many epochs, and its candidate, measured or failed."""

    point: Point
    epochs: int
    candidate: Candidate

    @property
    def tells(self) -> bool:
        """Whether anything is known of the point, so that more epochs may be worth it.

        A file whose outputs part from the model's is no candidate, but has a metric of its own: weights that hardly
        learned yet are often rounded badly, and after all epochs no more.
        """
        return not self.candidate.failure or self.candidate.value is not None


@dataclasses.dataclass(frozen=True)
class Decision:
    """What to try next, and why: "start", "propose", "promote" or "finish"; expected figures where there are any."""

    why: str
    point: Point
    epochs: int
    expected: dict[str, Any] = dataclasses.field(default_factory=dict)
