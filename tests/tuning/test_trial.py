"""A trial is a training: judged on validation, given up when it leads nowhere, the same as one by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset, Examples
from tfday7.data.lazy import LazyInputs
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.checkpoints import CheckpointStore
from tfday7.tuning import trial
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.search import search
from tfday7.tuning.trial import InfeasibleError, Judge

VALUES = {"learning_rate": 0.02, "batch_size": 8}


def test_a_trial_is_the_training_that_its_flags_describe(make_job: Callable[..., Any], blobs: Dataset) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=3)
    outcome = trial.run(job, VALUES, "metric")
    model = building.build(ModelConfig(model="mlp", width=8, depth=1), blobs.problem)
    by_hand = fitting.fit(model, blobs, OptimizerConfig(learning_rate=0.02), TrainingConfig(epochs=3, batch_size=8))
    assert list(outcome.curve) == [record["val_accuracy"] for record in by_hand.records]
    assert outcome.value == by_hand.records[by_hand.best_epoch - 1]["val_accuracy"]
    assert outcome.epochs == 3
    loss = trial.run(job, VALUES, "loss")
    assert loss.value == min(record["val_loss"] for record in by_hand.records)


def test_seeds_change_a_trial_and_the_same_seed_does_not(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=2)
    curves = [trial.run(job, VALUES, "loss", seed=seed).curve for seed in (1, 1, 2)]
    assert curves[0] == curves[1] != curves[2]


def test_a_rate_that_diverges_is_infeasible(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate", optimizer="sgd", epochs=4)
    outcome = trial.run(job, {"learning_rate": 1e30}, "metric")
    assert outcome.value is None
    assert "diverged" in outcome.reason


def test_settings_that_contradict_each_other_are_infeasible_with_the_reason(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=2)
    outcome = trial.run(job, {**VALUES, "batch_size": 100_000}, "metric")
    assert outcome.value is None
    assert "--batch_size=100000 is larger than the training split" in outcome.reason
    accumulates, _ = make_job("learning_rate,batch_size", epochs=2, accumulate_steps=4)
    outcome = trial.run(accumulates, {**VALUES, "batch_size": 30}, "metric")
    assert (outcome.value, outcome.contradicts) == (None, True)
    assert "--batch_size=30 cannot be cut evenly" in outcome.reason


def test_a_value_that_cannot_be_set_ends_its_trial_with_the_reason(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=2)
    outcome = trial.run(job, {**VALUES, "nesterov": 1}, "metric")
    assert (outcome.value, outcome.contradicts) == (None, True)
    assert outcome.reason == "--nesterov=1: expected true or false"


def test_a_trial_is_valued_by_its_best_epoch_where_another_was_left_out(
    make_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch that a recovery has left out whole has no record."""
    records = [{"epoch": epoch, "val_accuracy": epoch / 10, "val_loss": 1.0} for epoch in (2, 3, 5)]
    result = SimpleNamespace(records=records, best_epoch=5, stopped="finished")
    monkeypatch.setattr(trial, "fit", lambda *_, **__: result)
    job, _ = make_job("learning_rate,batch_size", epochs=5)
    assert trial.run(job, VALUES, "metric").value == 0.5


class _Gone(LazyInputs):
    """Examples whose file was there when the data were loaded."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        raise UserError("x_train.npy: cannot be read")


def test_an_example_that_can_no_longer_be_read_is_no_contradiction_and_ends_the_search(
    make_job: Callable[..., Any], blobs: Dataset, tmp_path: Path
) -> None:
    job, space = make_job("learning_rate,batch_size", epochs=2)
    gone = Examples(_Gone(blobs.train.x.shape, np.float32), blobs.train.y)
    job = dataclasses.replace(job, dataset=dataclasses.replace(blobs, train=gone))
    for try_it in (
        lambda: trial.run(job, VALUES, "metric"),
        lambda: search(job, space, TuningConfig(trials=2), tmp_path / "search", 2, seed=0),
    ):
        with pytest.raises(UserError, match=r"x_train\.npy: cannot be read"):
            try_it()


def test_cross_validation_is_the_mean_over_the_folds(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=2)
    outcome = trial.run(job, VALUES, "metric", folds=3)
    assert len(outcome.by_fold) == 3
    assert outcome.value == pytest.approx(np.mean(outcome.by_fold))
    assert outcome.epochs == 3 * 2


def test_a_training_in_parts_is_the_whole_one(make_job: Callable[..., Any], tmp_path: Path) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=5)
    whole = trial.run(job, VALUES, "metric")
    first = trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=2)
    assert list(first.curve) == list(whole.curve[:2])
    rest = trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=5, after=2)
    assert rest.curve == whole.curve
    assert rest.epochs == 3


def test_a_trial_that_was_killed_counts_its_own_epochs_and_all_of_them(
    make_job: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=5)
    monkeypatch.setattr(CheckpointStore, "is_due", lambda _: True)
    trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=1)
    see = Judge.epoch

    def killed(self: Judge, record: dict[str, Any], is_best: bool) -> None:
        see(self, record, is_best)
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=5, after=1)
    assert trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=5, after=1).epochs == 4
    again = trial.run(job, VALUES, "metric", folder=RunFolder(tmp_path), until=5, after=1)  # Killed behind its end.
    assert again.epochs == 4


@pytest.mark.parametrize("epochs", [2, 6])
def test_several_targets_are_judged_by_the_mean_of_their_scores(
    epochs: int, make_job: Callable[..., Any], homes: Dataset
) -> None:
    job, _ = make_job("learning_rate,batch_size", epochs=epochs)
    outcome = trial.run(dataclasses.replace(job, dataset=homes), {"learning_rate": 0.05, "batch_size": 8}, "metric")
    assert (outcome.reason, outcome.epochs) == ("", epochs)
    assert outcome.value in outcome.curve


def _record(epoch: int, value: float, loss: float | None = 1.0) -> dict[str, Any]:
    return {"epoch": epoch, "loss": loss, "val_loss": loss, "val_accuracy": value}


def test_no_better_than_guessing_after_a_third_of_the_epochs_is_stalled() -> None:
    judge = Judge("val_accuracy", guess=0.5, epochs=10)
    judge.epoch(_record(1, 0.5), False)
    judge.epoch(_record(2, 0.4), False)
    with pytest.raises(InfeasibleError, match="stalled: val_accuracy is no better than guessing after 3 epochs"):
        judge.epoch(_record(3, 0.5), False)


def test_who_was_better_once_goes_on_and_the_end_is_no_stall() -> None:
    judge = Judge("val_accuracy", guess=0.5, epochs=10)
    for epoch in range(1, 11):
        judge.epoch(_record(epoch, 0.6 if epoch == 2 else 0.4), False)
    assert (judge.best, len(judge.records)) == (0.6, 10)
    late = Judge("val_accuracy", guess=0.5, epochs=3)
    for epoch in range(1, 4):
        late.epoch(_record(epoch, 0.4), False)  # All epochs are spent: its value says enough.
    assert (late.best, len(late.records)) == (0.4, 3)


def test_a_judge_of_a_killed_trial_knows_what_it_had_seen() -> None:
    before = [_record(1, 0.4), _record(2, 0.6), _record(3, 0.4)]  # The checkpoint is that of the second epoch.
    judge = Judge("val_accuracy", 0.5, 10, before)
    for _ in range(2):
        judge.begin(2, 10, 1)
    judge.epoch(_record(3, 0.4), False)  # Without the second epoch that would be a stall.
    assert (judge.best, [record["epoch"] for record in judge.records]) == (0.6, [1, 2, 3])
    with pytest.raises(InfeasibleError, match="after 3 epochs"):
        Judge("val_accuracy", 0.7, 10, before).begin(3, 10, 1)


def test_a_loss_that_is_no_number_ends_the_trial_at_once() -> None:
    with pytest.raises(InfeasibleError, match="diverged"):
        Judge("val_accuracy", 0.5, 10).epoch(_record(1, 0.9, None), False)
