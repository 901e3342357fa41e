"""From the times of rounds to figures: percentiles, a ratio to the baseline, and how far all of it can be trusted.

A round is a few runs of one cell, right after those of every other cell. So a ratio is taken within each round, where
both had the same machine, and what is reported is the median of these; the rounds' own medians show the noise.

Where other programs want the processor too, the system takes it away in the middle of a run, for some milliseconds. A
long run meets that more often than a short one, in the same round: with four processes on two cores, models of 0.9 and
3.7 ms had ratios from 4.1 to 7.4. The system counts these interruptions, so such runs are known. Percentiles include
them, as they are what happened; ratios and what is said of repeatability leave them out (then 3.75 to 3.85).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

MIN_RUNS_FOR_P99 = 100  # With fewer, the largest one would be the percentile.
MIN_CALM = 3  # Rounds with a run that was not interrupted; with fewer, all runs decide.


@dataclasses.dataclass(frozen=True)
class Round:
    """One round of a cell.

    Attributes:
        ms: the time of each run, in milliseconds.
        interrupted: of each run, whether the system took the processor away from it.
    """

    ms: list[float]
    interrupted: list[bool]

    @property
    def undisturbed(self) -> list[float]:
        """The times of the runs that were not interrupted."""
        return [taken for taken, interrupted in zip(self.ms, self.interrupted, strict=True) if not interrupted]


def latencies(rounds: Sequence[Round]) -> dict[str, float | None]:
    """Returns p50, p90 and p99 of all runs, in milliseconds; p99 is None where there are under 100."""
    times = np.concatenate([np.asarray(each.ms, np.float64) for each in rounds])
    p50, p90, p99 = (round(float(np.percentile(times, q)), 5) for q in (50, 90, 99))
    return {"p50": p50, "p90": p90, "p99": p99 if len(times) >= MIN_RUNS_FOR_P99 else None}


def ratio(rounds: Sequence[Round], baseline: Sequence[Round]) -> dict[str, Any]:
    """Returns the latency as a multiple of the baseline's.

    Args:
        rounds, baseline: of the same rounds; what one of them has more is left out.

    Returns:
        `latency_ratio`, the median over rounds of the ratio of the two medians; `latency_ratio_range`, the 10th and the
        90th percentile of these ratios; `ratio_rounds`, how many rounds had undisturbed runs of both, and so were
        taken; 0 where these were too few, and all runs were taken.
    """
    pairs = list(zip(rounds, baseline, strict=False))
    calm = [(own.undisturbed, other.undisturbed) for own, other in pairs if own.undisturbed and other.undisturbed]
    taken = calm if len(calm) >= MIN_CALM else [(own.ms, other.ms) for own, other in pairs]
    ratios = [middle(own) / middle(other) for own, other in taken]
    median, low, high = (float(f"{np.percentile(ratios, q):.4g}") for q in (50, 10, 90))
    return {
        "latency_ratio": median,
        "latency_ratio_range": [low, high],
        "ratio_rounds": len(calm) if len(calm) >= MIN_CALM else 0,
    }


def spread(rounds: Sequence[Round]) -> float:
    """Returns how far a round's median wanders: (90th - 10th percentile of the rounds' medians) / their median."""
    low, median, high = np.percentile(medians(rounds), (10, 50, 90))
    return round(float((high - low) / median), 4)


def drift(rounds: Sequence[Round]) -> float | None:
    """Returns how far the second half of the measurement is from the first: the difference of medians, relative.

    None where there is one round alone. It is what the same measurement, made again right away, would differ by.
    """
    if len(rounds) < 2:
        return None
    found = medians(rounds)
    first, second = middle(found[: len(found) // 2]), middle(found[len(found) // 2 :])
    return round(abs(second - first) / middle(found), 4)


def medians(rounds: Sequence[Round]) -> list[float]:
    """Returns the median of each round's undisturbed runs where it has any; of all runs where too few rounds have."""
    calm = [middle(each.undisturbed) for each in rounds if each.undisturbed]
    return calm if len(calm) >= MIN_CALM else [middle(each.ms) for each in rounds]


def interrupted_share(rounds: Sequence[Round]) -> float:
    """Returns the share of the runs that were interrupted."""
    return round(float(np.mean([interrupted for each in rounds for interrupted in each.interrupted])), 4)


def middle(times: Sequence[float]) -> float:
    """Returns the median of times in milliseconds. The clock counts nanoseconds; none of them takes zero."""
    return max(float(np.median(times)), 1e-6)
