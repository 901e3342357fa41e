"""One trial: a training with some settings, judged on the validation split, and given up early when it leads nowhere.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset, pipeline
from tfday7.data.scoring import baseline
from tfday7.distribution import checking
from tfday7.models import building
from tfday7.training import config as training_config
from tfday7.training.fitting import fit
from tfday7.tuning.folds import fold
from tfday7.tuning.job import Job
from tfday7.tuning.parameters import Value

STALL_SHARE = 0.3  # Of the epochs: who is no better than guessing by then has hardly ever become so.
STALL_EPOCHS = 3  # But not sooner than this.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        value: of the objective in the best epoch, the mean over folds; None when the settings are infeasible.
        reason: why they are; empty otherwise.
        curve: the objective on the validation split after each epoch; of the first fold.
        epochs: how many were trained, in all folds together.
        seconds: how long that took.
        by_fold: the value of each fold; empty without a cross-validation.
        contradicts: whether it never began, as the settings contradict each other or the data.
    """

    value: float | None
    reason: str
    curve: tuple[float | None, ...]
    epochs: int
    seconds: float
    by_fold: tuple[float, ...] = ()
    contradicts: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {**dataclasses.asdict(self), "curve": list(self.curve), "by_fold": list(self.by_fold)}


class InfeasibleError(Exception):
    """Training with these settings leads nowhere; the message says how that shows."""


class Judge:
    """Watches a training, as an `Observer`, and stops it when it leads nowhere.

    Args:
        metric: its name in the records, for example "val_accuracy".
        guess: the metric of always guessing.
        epochs: of a whole training.
        before: records of what the trial had trained when it was killed, which may be more than its checkpoint holds.
    """

    def __init__(self, metric: str, guess: float, epochs: int, before: Sequence[Mapping[str, Any]] = ()) -> None:
        self.metric = metric
        self.guess = guess
        self.epochs = epochs
        self.deadline = max(STALL_EPOCHS, math.ceil(STALL_SHARE * epochs))
        self.best = -math.inf
        self.records: list[dict[str, Any]] = []
        self._before = before

    def begin(self, first_epoch: int, epochs: int, steps_per_epoch: int) -> None:
        """Sees again what training goes on from. Raises InfeasibleError as `epoch` does."""
        before, self._before = self._before, ()  # A training that goes back after a blow-up begins once more.
        for record in before:
            if record["epoch"] <= first_epoch:
                self.epoch(dict(record), False)

    def step(self, epoch: int, step: int, loss: float) -> None:
        """See `Observer`; a loss that is no number is seen in the epoch's record."""

    def epoch(self, record: dict[str, Any], is_best: bool) -> None:
        """Raises InfeasibleError when training shall go no further."""
        self.records.append(record)
        value = record.get(self.metric)
        self.best = max(self.best, -math.inf if value is None else value)
        if record["loss"] is None or record["val_loss"] is None:
            raise InfeasibleError(f"diverged: the loss is not finite in epoch {record['epoch']}")
        if self.deadline <= record["epoch"] < self.epochs and self.best <= self.guess:
            raise InfeasibleError(f"stalled: {self.metric} is no better than guessing after {record['epoch']} epochs")

    def end(self) -> None:
        """See `Observer`."""


def run(
    job: Job,
    values: Mapping[str, Value],
    objective: str,
    folds: int = 1,
    seed: int | None = None,
    folder: RunFolder | None = None,
    until: int | None = None,
    after: int = 0,
) -> Outcome:
    """Trains with a trial's settings.

    Args:
        job: what is trained.
        values: the trial's settings.
        objective: "metric" or "loss".
        folds: parts of a cross-validation within the training split; 1 trains on all of it and validates as usual.
        seed: instead of the job's.
        folder: where checkpoints go, from which training goes on; None keeps none.
        until: the epoch to stop after this time, out of those of the job; None for all.
        after: the epochs in the folder that another trial has trained; those behind them are this one's.

    Raises:
        UserError: an example that can no longer be read, which no other settings would change.
        Interrupted: a signal.
    """
    started = time.perf_counter()
    parts = [fold(job.dataset, folds, index) for index in range(folds)] if folds > 1 else [job.dataset]
    outcomes = []
    for part in parts:
        of_part = dataclasses.replace(job, dataset=part)
        with pipeline.user_errors(part.train, part.validation):
            outcomes.append(_train(of_part, values, objective, seed, folder, until, after))
        if outcomes[-1].value is None:
            break
    reason = outcomes[-1].reason
    scores = [outcome.value for outcome in outcomes if outcome.value is not None]
    return Outcome(
        value=None if reason else float(np.mean(scores)),
        reason=reason,
        curve=outcomes[0].curve,
        epochs=sum(outcome.epochs for outcome in outcomes),
        seconds=round(time.perf_counter() - started, 3),
        by_fold=tuple(scores) if folds > 1 and not reason else (),
        contradicts=outcomes[-1].contradicts,
    )


def _train(
    job: Job,
    values: Mapping[str, Value],
    objective: str,
    seed: int | None,
    folder: RunFolder | None,
    until: int | None,
    after: int,
) -> Outcome:
    dataset = job.dataset
    epochs = job.training.epochs  # No trial changes them.
    name = objective_name(dataset, objective)
    before = folder.metrics() if folder else []
    judge = Judge(objective_name(dataset, "metric"), _guess(dataset), epochs, _behind(after, before))
    try:
        model_config, optimizer, training = job.changed(values)
        training = dataclasses.replace(training, seed=training.seed if seed is None else seed)
        training_config.check(training, optimizer, dataset.problem.task, len(dataset.train))
        checking.check_batch(training.batch_size, 1, training.accumulate_steps)
        model = building.build(model_config, dataset.problem, training.precision, training.seed)
        result = fit(model, dataset, optimizer, training, folder, judge, until)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        return Outcome(None, "out of memory", _curve(judge.records, name), len(judge.records), 0.0)
    except InfeasibleError as error:
        return Outcome(None, str(error), _curve(judge.records, name), len(judge.records), 0.0)
    except UserError as error:  # Settings that contradict each other: so many warm-up steps, say.
        return Outcome(None, error.message, (), 0, 0.0, contradicts=True)
    records = _behind(after, result.records)
    if result.stopped == "nan":
        return Outcome(None, "diverged: the loss is not finite", _curve(records, name), len(records), 0.0)
    best = next(record for record in result.records if record["epoch"] == result.best_epoch)
    return Outcome(best[name], "", _curve(result.records, name), len(records), 0.0)


def _behind(epoch: int, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["epoch"] > epoch]


def objective_name(dataset: Dataset, objective: str) -> str:
    """Returns the name of the objective in training's records: "val_loss", or that of the task's metric."""
    return "val_loss" if objective == "loss" else f"val_{dataset.problem.metric}"


def _guess(dataset: Dataset) -> float:
    """Returns the metric that guessing reaches on the validation split; of shares of examples with its sampling error.

    Guessing is to say always the most common class, or the mean. Two standard errors above it may still be luck.
    """
    guess = baseline(dataset.problem, dataset.train.y, dataset.validation.y)
    if dataset.problem.metric != "accuracy":
        return guess
    return guess + 2.0 * math.sqrt(guess * (1.0 - guess) / len(dataset.validation))


def _curve(records: list[dict[str, Any]], name: str) -> tuple[float | None, ...]:
    return tuple(record.get(name) for record in records)
