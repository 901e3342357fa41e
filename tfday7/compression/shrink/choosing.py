"""How many channels of each group stay, and which.

A count is rounded to a multiple of 8 by default, which vector units like; heads, groups of convolutions and groups of
fewer than 16 are counted one by one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from tfday7.compression.shrink.groups import Group
from tfday7.core.errors import UserError

SMALL = 16
ALWAYS_STAYS = 0.1  # Of each group, where groups are compared with each other.
STEPS = 40  # Of the search for a budget: 2^-40 of the ratio.
Counts = list[int]


class Sized(Protocol):
    """What rounding asks of a group: its kind, and how many channels it has."""

    @property
    def kind(self) -> str: ...

    def __len__(self) -> int: ...


def counted_singly(group: Sized) -> bool:
    """Returns whether a group's count is not rounded to a multiple."""
    return group.kind in ("heads", "groups") or len(group) < SMALL


def rounded(group: Sized, wanted: float, round_to: int) -> int:
    """Returns the count of a group nearest to the wanted one: a multiple where the group takes them, at least one."""
    step = 1 if counted_singly(group) else round_to
    return min(len(group), max(step, step * math.floor(wanted / step + 0.5)))


@dataclasses.dataclass(frozen=True)
class Chooser:
    """Chooses channels by their importance.

    Attributes:
        groups: those that can shrink.
        scores: the importance of the classes of each, mean 1.
        round_to: counts of channels are multiples of it.
        scope: "local", the same share of each group; "global", the least important of all of them.
    """

    groups: Sequence[Group]
    scores: Sequence[np.ndarray]
    round_to: int
    scope: str

    def counts(self, ratio: float) -> Counts:
        """Returns how many of each group stay when a share of the channels goes; at least one, always."""
        sizes = [len(group) for group in self.groups]
        wanted = [size * (1 - ratio) for size in sizes]
        if self.scope == "global":
            order = np.argsort(np.concatenate(list(self.scores)), kind="stable")
            owner = np.repeat(np.arange(len(sizes)), sizes)
            gone = np.bincount(owner[order[: round(ratio * len(order))]], minlength=len(sizes))
            wanted = [max(float(size - less), ALWAYS_STAYS * size) for size, less in zip(sizes, gone, strict=True)]
        return [rounded(group, want, self.round_to) for group, want in zip(self.groups, wanted, strict=True)]

    def kept(self, counts: Counts) -> list[np.ndarray]:
        """Returns the positions in each group that stay, sorted; of equal ones the first."""
        pairs = zip(self.scores, counts, strict=True)
        return [np.sort(np.argsort(-score, kind="stable")[:count]) for score, count in pairs]

    def check(self, ratio: float) -> None:
        """Raises UserError when a ratio would empty a group of more than a few channels."""
        for group in self.groups:
            if not counted_singly(group) and len(group) * (1 - ratio) < 0.5:
                raise UserError(
                    f"ratio {ratio:g} would empty {group.name!r}, which has {len(group)} {group.kind}",
                    f"give at most {1 - 0.5 / len(group):.3g}, or keep it: keep=[{group.name!r}]",
                )

    def within(self, budget: float, cost: Callable[[Counts], float], what: str, unit: str) -> Counts:
        """Returns the largest counts whose cost is within a budget.

        Args:
            budget: the most that is allowed.
            cost: of counts; falls as they do.
            what: is limited, for the message.
            unit: a format for it, such as "{:,.0f} bytes".

        Raises:
            UserError: even the smallest is too large.
        """
        smallest = self.counts(1.0)
        if cost(smallest) > budget:
            raise UserError(
                f"{what} of at most {unit.format(budget)} cannot be reached: the smallest is "
                f"{unit.format(cost(smallest))}",
                "allow more, give a smaller round_to, or keep less",
            )
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            if cost(self.counts(middle)) <= budget:
                high = middle
            else:
                low = middle
        return self.counts(high)
