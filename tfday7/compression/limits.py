"""Limits of an artefact, and what to make as small or as good as possible within them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tfday7.compression.config import BudgetConfig
from tfday7.compression.records import Candidate

KB, MB = 1000.0, 1000.0**2
METRIC = "metric"
# A limit of a size is exceeded by a share of itself. The metric's are differences; one that falls short by this much
# counts as much as a file that is twice as large as it may be.
METRIC_SCALE = 0.1
WORST_DROP = 0.1  # Of the metric: what loses more, and more than is allowed, is nothing that a frontier is asked for.
ALIKE = 1.02  # Costs that differ by less are equal: times repeat no better.
# Flag of each upper limit -> the candidate's attribute, and what the flag's unit is in the attribute's.
UPPER = {
    "max_size_kb": ("size_bytes", KB),
    "max_gzip_kb": ("gzip_bytes", KB),
    "max_memory_mb": ("peak_memory_bytes", MB),
    "max_macs": ("macs", 1.0),
    "max_latency_ms": ("latency_ms", 1.0),
    "max_latency_ratio": ("latency_ratio", 1.0),
}
ATTRIBUTES = {
    "gzip": "gzip_bytes", "size": "size_bytes", "latency": "latency_ratio", "macs": "macs",
    "memory": "peak_memory_bytes",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Excess:
    """A limit that a candidate breaks.

    Attributes:
        limit: the flag's name.
        allowed, value: in the flag's unit; value is None where it is not known.
        share: by how much: 0.5 for a file half as large again as it may be; infinite where the value is not known.
    """

    limit: str
    allowed: float
    value: float | None
    share: float

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values; null for an infinite share."""
        return {**dataclasses.asdict(self), "share": self.share if math.isfinite(self.share) else None}


def frontier_floor(baseline: Candidate, budget: BudgetConfig) -> float:
    """Returns the metric below which a candidate does not belong to the frontier."""
    if baseline.value is None:
        return -math.inf
    return min(baseline.value - WORST_DROP, least_metric(baseline, budget))


def broken_limits(one: Candidate, baseline: Candidate, budget: BudgetConfig) -> list[Excess]:
    """Returns the limits that a candidate breaks; none for one that may be chosen.

    Args:
        one: a candidate with its figures; a value that is limited and not known breaks the limit.
        baseline: the given model's own file, from which the accuracy may drop.
        budget: the limits.
    """
    found = []
    for limit, (attribute, unit) in UPPER.items():
        allowed = getattr(budget, limit)
        if allowed is None:
            continue
        value = getattr(one, attribute)
        if value is None:
            found.append(Excess(limit, allowed, None, math.inf))
        elif value > allowed * unit:
            found.append(Excess(limit, allowed, value / unit, value / unit / allowed - 1.0))
    for limit, least in _floors(baseline, budget):
        if one.value is None:
            found.append(Excess(limit, least, None, math.inf))
        elif one.value < least - 1e-9:
            found.append(Excess(limit, least, one.value, (least - one.value) / METRIC_SCALE))
    return found


def _floors(baseline: Candidate, budget: BudgetConfig) -> list[tuple[str, float]]:
    floors = []
    drop = budget.accuracy_drop
    if baseline.value is not None and drop is not None:
        floors.append(("max_accuracy_drop", baseline.value - drop))
    if budget.min_metric is not None:
        floors.append(("min_metric", budget.min_metric))
    return floors


def least_metric(baseline: Candidate, budget: BudgetConfig) -> float:
    """Returns the least metric that a chosen candidate may have; minus infinity where nothing says one."""
    return max((least for _, least in _floors(baseline, budget)), default=-math.inf)


def excess(broken: Sequence[Excess]) -> float:
    """Returns how far a candidate is from the budget: 0 within it."""
    return sum(one.share for one in broken)


def cost(one: Candidate, baseline: Candidate, budget: BudgetConfig) -> float:
    """Returns what is to be made small, relative to the baseline: 1 costs as much as the given model's own file.

    Of "metric" it is the drop. What was not measured counts as the baseline's where it is one of two factors, and as
    infinite where it is all.
    """
    if budget.objective == METRIC:
        return math.inf if one.value is None or baseline.value is None else baseline.value - one.value
    if budget.objective == "auto":
        size = _relative(one.gzip_bytes, baseline.gzip_bytes)
        return size * (one.latency_ratio if one.latency_ratio is not None else 1.0)
    name = ATTRIBUTES[budget.objective]
    return _relative(getattr(one, name), getattr(baseline, name))


def _relative(value: float | None, before: float | None) -> float:
    return math.inf if value is None else value / (before or 1.0)


def choose(candidates: Sequence[Candidate], baseline: Candidate, budget: BudgetConfig) -> str | None:
    """Returns the name of the best candidate within the budget; None where there is none.

    Of those that cost as little as the cheapest one, but for `ALIKE`, it is the one with the best metric.
    """
    good = [one for one in candidates if not one.failure and not broken_limits(one, baseline, budget)]
    if not good:
        return None
    if budget.objective == METRIC:
        return min(good, key=lambda one: cost(one, baseline, budget)).name
    least = min(cost(one, baseline, budget) for one in good) * ALIKE
    return max((one for one in good if cost(one, baseline, budget) <= least), key=lambda one: one.value or 0.0).name


def nearest(candidates: Sequence[Candidate], baseline: Candidate, budget: BudgetConfig, most: int = 3) -> list[str]:
    """Returns the names of the candidates that are least outside of the budget, the nearest first."""
    known = [one for one in candidates if not one.failure]
    return [one.name for one in sorted(known, key=lambda one: excess(broken_limits(one, baseline, budget)))[:most]]
