"""What a point will lose of the metric: a rough guess, mended by a Gaussian process over what was tried."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfday7.compression.limits import WORST_DROP
from tfday7.compression.records import Candidate
from tfday7.compression.search.decisions import Trial
from tfday7.compression.search.space import Point


class Surrogate:
    """Predicts how much of the metric a point loses: a rough guess, and a Gaussian process over what it misses.

    Args:
        baseline: see `Proposer`.
        trials: what is known.
        epochs: the most that a point may have.
    """

    def __init__(self, baseline: Candidate, trials: Sequence[Trial], epochs: int) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self.epochs = epochs
        known = [trial for trial in trials if trial.candidate.value is not None]
        self.process: Any = None
        if not known or baseline.value is None:
            return
        x = np.array([self._features(trial.point, trial.epochs) for trial in known])
        drops = np.array([min(baseline.value - (trial.candidate.value or 0.0), 3 * WORST_DROP) for trial in known])
        missed = drops - np.array([guessed_drop(trial.point, trial.epochs) for trial in known])
        kernel = ConstantKernel(0.02**2, (1e-6, 0.1)) * Matern(0.7, (0.2, 5.0), nu=2.5) + WhiteKernel(
            0.003**2, (1e-7, 1e-3)
        )
        self.process = GaussianProcessRegressor(kernel, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A bound that the likelihood runs into is what the bound is for.
            self.process.fit(x, missed)

    def predict(self, asked: Sequence[tuple[Point, int]]) -> tuple[list[float], list[float]]:
        """Returns the mean and the standard deviation of the drop of each (point, epochs)."""
        guesses = np.array([guessed_drop(point, epochs) for point, epochs in asked])
        if self.process is None:
            return guesses.tolist(), [0.02] * len(guesses)
        mean, spread = self.process.predict(
            np.array([self._features(point, epochs) for point, epochs in asked]), return_std=True
        )
        return (guesses + mean).tolist(), np.maximum(spread, 1e-4).tolist()

    def _features(self, point: Point, epochs: int) -> list[float]:
        return [*point.features(), math.log1p(epochs) / math.log1p(self.epochs)]


def guessed_drop(point: Point, epochs: int) -> float:
    """Returns a rough guess of the metric that a point loses, before anything is known of the model."""
    few = 0.0 if not point.clusters else 0.1 / point.clusters
    whole = (0.06 * point.ratio**2 + 0.05 * point.sparsity**4 + few) * (1.0 if point.distil else 1.25)
    return 0.001 + whole * (1.0 + 1.0 / (epochs or 1))
