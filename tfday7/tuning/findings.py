"""What a search has found out beside its best trial: what mattered, and whether the range was wide enough."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfday7.tuning.search import Trial
from tfday7.tuning.space import Space

MIN_TRIALS = 8  # With fewer no share means anything.
TREES = 200
REPEATS = 10
ABSENT = -1.0  # The place of a hyperparameter that a trial's optimizer does not have.


def best_of(trials: Sequence[Trial], direction: str) -> Trial | None:
    """Returns the feasible trial with the best value, the earlier one of equals; None when there is none."""
    feasible = [trial for trial in trials if trial.outcome.value is not None]
    sign = 1.0 if direction == "max" else -1.0
    return max(feasible, key=lambda trial: (sign * float(trial.outcome.value or 0.0), -trial.number), default=None)


def importance(trials: Sequence[Trial], space: Space, seed: int = 0) -> list[dict[str, Any]]:
    """Returns the share of each hyperparameter in how the trials' values differ, the largest first.

    By permutation (Breiman, 2001, Machine Learning 45) on a random forest of the trials: how much worse it predicts
    when the values of one hyperparameter change places among the trials. With few trials a hint, no proof; empty below
    8 feasible ones, or where all are equally good.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    feasible = [trial for trial in trials if trial.outcome.value is not None]
    parameters = space.parameters
    y = np.array([trial.outcome.value for trial in feasible], np.float64)
    if len(feasible) < MIN_TRIALS or np.ptp(y) == 0:
        return []
    x = np.array(
        [[p.place(t.values[p.key]) if p.key in t.values else ABSENT for p in parameters] for t in feasible], np.float64
    )
    ranks = np.argsort(np.argsort(y)).astype(np.float64)  # One diverging trial must not outweigh all the others.
    forest = RandomForestRegressor(TREES, random_state=seed).fit(x, ranks)
    found = permutation_importance(forest, x, ranks, n_repeats=REPEATS, random_state=seed).importances_mean
    shares = np.maximum(found, 0.0) / max(float(np.maximum(found, 0.0).sum()), 1e-12)
    listed = [{"name": p.key, "share": round(float(share), 4)} for p, share in zip(parameters, shares, strict=True)]
    return sorted(listed, key=lambda entry: -float(entry["share"]))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns mean, standard deviation (0 for a single value), lowest and highest."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "std": deviation, "low": min(values), "high": max(values)}


def reached(trials: Sequence[Trial], target: float, direction: str) -> dict[str, Any] | None:
    """Returns the number of the first trial that reached a target, and the seconds until it ended; None if none did."""
    sign = 1.0 if direction == "max" else -1.0
    seconds = 0.0
    for trial in trials:
        seconds += trial.outcome.seconds
        value = trial.outcome.value
        if value is not None and sign * value >= sign * target:
            return {"trial": trial.number, "seconds": round(seconds, 3)}
    return None
