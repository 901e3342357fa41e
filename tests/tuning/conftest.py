"""A training that is a formula: searches are tested in milliseconds, and their best trial is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from tfday7.data import DataConfig, Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig
from tfday7.optimizers.situation import Situation
from tfday7.training.config import TrainingConfig
from tfday7.tuning import trial
from tfday7.tuning.job import Job
from tfday7.tuning.parameters import parse
from tfday7.tuning.space import Space, job_and_space
from tfday7.tuning.trial import Outcome

BEST_RATE = 0.01


@pytest.fixture
def make_job(blobs: Dataset) -> Callable[..., tuple[Job, Space]]:
    """Returns what makes a job and its space from the text of `--tune`."""

    def make(tune: str, optimizer: str = "adam", trials: int = 20, **training: Any) -> tuple[Job, Space]:
        rate = training.pop("learning_rate", None)
        settings = OptimizerConfig(optimizer=optimizer, learning_rate=rate)
        configs = (DataConfig(), ModelConfig(model="mlp", width=8, depth=1), settings)
        config = TrainingConfig(**{"epochs": 6, "batch_size": 16, **training})
        found = Situation(
            data_kind="tabular", model_kind="mlp", parameters=100, batch_size=16, epochs=6, examples=140, trials=trials
        )
        return job_and_space(blobs, (*configs, config), parse(tune), found)

    return make


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces training: the value is 1 at a rate of 0.01 and falls by a tenth with every power of ten away from it.

    Rates above 1 are infeasible. Returns the list that every trial's values are appended to.
    """
    trained: list[dict[str, Any]] = []

    def run(job: Job, values: Any, objective: str, folds: int = 1, seed: Any = None, **_: Any) -> Outcome:
        trained.append(dict(values))
        rate = next(value for key, value in values.items() if key.endswith("learning_rate"))
        if rate > 1:
            return Outcome(None, "diverged: the loss is not finite in epoch 1", (None,), 1, 0.5)
        value = 1.0 - 0.1 * abs(math.log10(rate / BEST_RATE)) - 0.001 * (seed or 0)
        return Outcome(value, "", (value / 2, value), 2, 0.5)

    monkeypatch.setattr(trial, "run", run)
    return trained


def fail_with_seeds(monkeypatch: pytest.MonkeyPatch, seeds: set[int], optimizer: str = "") -> None:
    """Makes trainings with these seeds diverge, where an optimizer is named only its own."""
    train = trial.run

    def run(job: Job, values: Any, objective: str, folds: int = 1, seed: Any = None, **more: Any) -> Outcome:
        outcome = train(job, values, objective, folds, seed, **more)
        if seed not in seeds or optimizer not in ("", job.optimizer(values)):
            return outcome
        return dataclasses.replace(outcome, value=None, reason="diverged: the loss is not finite in epoch 1")

    monkeypatch.setattr(trial, "run", run)
