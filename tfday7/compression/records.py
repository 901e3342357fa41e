"""What is known of a candidate: how it was made, how good, how small and how fast it is. See compression.json.

{"baseline": CANDIDATE, "candidates": [CANDIDATE, ...], "chosen": name or null, "budget": {...}, "hardware": {...}}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tfday7.core import records
from tfday7.core.errors import UserError

BASELINE = "float32"  # The name of the given model's own file.
NOT_FINITE = "its file gives outputs that are not finite"  # A failure.


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One compressed model, or the reason why it could not be made.

    Attributes:
        name: its recipe's.
        recipe: as its file has it; None for the baseline.
        metric: {"name", "value"} on the validation split, through the runtime of the file; it decides.
        test_metric: on the test split; of the chosen one, the frontier and the baseline alone, measured once.
        size_bytes, gzip_bytes: of the file.
        latency_ms, latency_ratio, latency_spread: median, to the interleaved baseline, and the ratio's 10th and 90th
            percentile.
        peak_memory_bytes: of the process that ran it.
        macs, parameters: of the model's structure; masks and rounding do not change them. None where unknown.
        pareto: whether no other candidate is at least as good, as small and as fast, and better in one of these.
        path: of the delivered file; None where it was not delivered.
        runtime: that measured it.
        sha256: of the file.
        steps: what each step of the recipe did.
        skipped_layers: {"technique", "layer", "reason"} of each layer that a step left alone.
        notes: what its user has to know.
        failure: why there is none; empty when there is.
    """

    name: str
    recipe: dict[str, Any] | None = None
    metric: dict[str, Any] = dataclasses.field(default_factory=dict)
    test_metric: float | None = None
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    latency_ms: float | None = None
    latency_ratio: float | None = None
    latency_spread: list[float] | None = None
    peak_memory_bytes: int | None = None
    macs: int | None = None
    parameters: int | None = None
    pareto: bool = False
    path: str | None = None
    runtime: str = ""
    sha256: str | None = None
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    skipped_layers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    failure: str = ""

    @property
    def value(self) -> float | None:
        """The metric on the validation split."""
        return self.metric.get("value")

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class _Metric:
    """The metric of a candidate's record; empty where it failed."""

    name: str = ""
    value: float | None = None


def from_json(record: Any, where: str) -> Candidate:
    """Returns a candidate from its record. Raises UserError naming the file where it is none."""
    again = "compress again with --overwrite"
    candidate = records.build(Candidate, record, where, again)
    metric = records.build(_Metric, candidate.metric, f"{where}: metric", again)
    if not (metric.name or candidate.failure):
        raise UserError(f"{where}: metric.name is missing", again)
    return candidate


def with_frontier(candidates: Sequence[Candidate], least: float = -math.inf) -> list[Candidate]:
    """Returns the candidates with `pareto` set: by metric, packed size and latency, what is unknown left out.

    Args:
        candidates: all that there are.
        least: the metric below which a candidate is of no use, whatever else it is.
    """
    marked = []
    for one in candidates:
        useless = one.failure or (one.value is not None and one.value < least)
        beaten = any(_dominates(other, one) for other in candidates if other is not one)
        marked.append(dataclasses.replace(one, pareto=not useless and not beaten))
    return marked


def _dominates(other: Candidate, one: Candidate) -> bool:
    """Returns whether `other` is nowhere worse than `one` and somewhere better."""
    if other.failure or one.failure:
        return False
    pairs = list(_compared(other, one))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _compared(a: Candidate, b: Candidate) -> Iterable[tuple[float, float]]:
    """Yields what both know, less is better."""
    if a.value is not None and b.value is not None:
        yield -a.value, -b.value
    for name in ("gzip_bytes", "latency_ratio"):
        one, other = getattr(a, name), getattr(b, name)
        if one is not None and other is not None:
            yield one, other
