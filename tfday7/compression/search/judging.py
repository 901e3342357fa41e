"""How much a candidate that has not been made is worth: what it may add to the objective, or to the frontier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfday7.compression import limits
from tfday7.compression.config import BudgetConfig
from tfday7.compression.limits import WORST_DROP
from tfday7.compression.records import Candidate
from tfday7.compression.search.hypervolume import Frontier
from tfday7.compression.search.space import Point

REFERENCE = (WORST_DROP, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Guess:
    """What is expected of a point with all epochs.

    Attributes:
        candidate: figures as those of a measured one; the metric is the mean of what is expected.
        spread: standard deviation of the metric.
    """

    point: Point
    candidate: Candidate
    spread: float


class Judge:
    """Says how much a guess is worth: the expected gain in the objective, or of the frontier's volume.

    Args:
        baseline, budget: as of `Proposer`.
        candidates: what has been measured.
        frontier: whether it is the frontier that counts.
    """

    def __init__(
        self, baseline: Candidate, budget: BudgetConfig, candidates: Sequence[Candidate], frontier: bool
    ) -> None:
        self.baseline, self.budget = baseline, budget
        self.floor = limits.least_metric(baseline, budget)
        known = [one for one in candidates if not one.failure]
        good = [limits.cost(one, baseline, budget) for one in known if not limits.broken_limits(one, baseline, budget)]
        self.best = min(good, default=None)
        places = [place for place in (frontier_place(one, baseline) for one in known) if place]
        self._reached = Frontier(places, REFERENCE) if frontier else None

    def worths(self, guesses: Sequence[Guess]) -> list[float]:
        """Returns what is expected of each guess; the more the better, 0 or less where nothing is."""
        if self._reached is None:
            return [self._of_objective(one) for one in guesses]
        return self._of_frontier(self._reached, guesses)

    def _of_objective(self, guess: Guess) -> float:
        value = guess.candidate.value or 0.0
        optimistic = {**guess.candidate.metric, "value": max(value, self.floor)}
        hopeful = dataclasses.replace(guess.candidate, metric=optimistic)
        outside = limits.excess(limits.broken_limits(hopeful, self.baseline, self.budget))
        likely = _normal(value - self.floor, guess.spread)
        if self.budget.objective == limits.METRIC:
            best = -WORST_DROP if self.best is None else -self.best
            won = value + guess.spread - (self.baseline.value or 0.0) - best
        else:
            won = (1.0 if self.best is None else self.best) - limits.cost(guess.candidate, self.baseline, self.budget)
        return likely * won / (1.0 + outside * 10.0) if math.isfinite(outside + won) else 0.0

    def _of_frontier(self, reached: Frontier, guesses: Sequence[Guess]) -> list[float]:
        """Returns what the frontier's volume gains in the mean, should the metric lie a spread above or below."""
        places = [frontier_place(one.candidate, self.baseline) or REFERENCE for one in guesses]
        gains = [
            reached.gains(
                [(drop + side * one.spread, *rest) for one, (drop, *rest) in zip(guesses, places, strict=True)]
            )
            for side in (-1.0, 1.0)
        ]
        return [float(gain) for gain in (gains[0] + gains[1]) / 2.0]


def frontier_place(one: Candidate, baseline: Candidate) -> tuple[float, float, float] | None:
    """Returns a candidate as (drop of the metric, packed size, latency), relative to the baseline; None if unknown."""
    if one.value is None or baseline.value is None or not one.gzip_bytes or not baseline.gzip_bytes:
        return None
    time = one.latency_ratio
    if time is None:
        time = one.macs / baseline.macs if one.macs and baseline.macs else 0.5
    return baseline.value - one.value, one.gzip_bytes / baseline.gzip_bytes, time


def _normal(distance: float, spread: float) -> float:
    """Returns the probability that a normal value lies less than `distance` below its mean."""
    if not math.isfinite(distance):
        return 1.0
    return 0.5 * (1.0 + math.erf(distance / (spread * math.sqrt(2.0))))
