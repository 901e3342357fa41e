"""Averaged weights are validated, kept and delivered; training goes on from the others, also after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.callbacks.averaging import Averaging
from tfday7.training.callbacks.checkpointing import Checkpointing

AVERAGING = {
    "schedule_free": OptimizerConfig(optimizer="schedule_free_adamw", learning_rate=0.01),
    "lookahead": OptimizerConfig(optimizer="lookahead", learning_rate=0.01),
    "ema": OptimizerConfig(optimizer="sgd", learning_rate=0.1, use_ema=True, ema_momentum=0.9),
}


def _model(dataset: Dataset) -> Any:
    return building.build(ModelConfig(model="mlp", width=8, depth=1, dropout=0.2), dataset.problem)


@pytest.mark.parametrize("name", sorted(AVERAGING))
def test_validation_and_the_best_weights_are_those_of_the_averages(name: str, blobs: Dataset) -> None:
    model = _model(blobs)
    result = fitting.fit(model, blobs, AVERAGING[name], TrainingConfig(epochs=3))
    best = result.records[result.best_epoch - 1]
    measured = model.evaluate(blobs.validation.x, blobs.validation.y, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-5)


def test_the_average_is_lent_and_the_trained_weights_come_back_bit_for_bit(blobs: Dataset) -> None:
    seen: dict[str, list[np.ndarray]] = {}

    class Watching(keras.callbacks.Callback):
        def on_test_begin(self, logs: Any = None) -> None:
            seen["trained"] = self.model.get_weights()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen["lent"] = self.model.get_weights()

    class WatchingAfter(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen["after"] = self.model.get_weights()

        def on_train_end(self, logs: Any = None) -> None:
            seen["end"] = self.model.get_weights()

    model = _model(blobs)
    fitting.compile_model(model, blobs, AVERAGING["ema"], TrainingConfig())
    start = model.get_weights()
    model.fit(
        blobs.train.x, blobs.train.y, batch_size=len(blobs.train.x), epochs=1, verbose=0,
        validation_data=(blobs.validation.x, blobs.validation.y),
        callbacks=[Watching(), Averaging(), WatchingAfter()],
    )  # fmt: skip
    for first, trained, lent, after, end in zip(
        start, seen["trained"], seen["lent"], seen["after"], seen["end"], strict=True
    ):
        np.testing.assert_allclose(lent, 0.9 * first + 0.1 * trained, atol=1e-6)  # One step.
        np.testing.assert_array_equal(after, trained)
        np.testing.assert_array_equal(end, trained)  # Keras would have put the average here.


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(AVERAGING))
def test_a_run_stopped_within_an_epoch_ends_as_if_it_had_not_been(
    name: str, blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = TrainingConfig(epochs=3, batch_size=4)
    whole_model, model = _model(blobs), _model(blobs)
    whole = fitting.fit(whole_model, blobs, AVERAGING[name], training, RunFolder(tmp_path / "whole"))
    folder = RunFolder(tmp_path / "stopped")
    with monkeypatch.context() as patch:
        patch.setattr("tfday7.training.callbacks.pacing.TARGET_SECONDS", 0.0)  # Soon one step an execution.
        patch.setattr(Checkpointing, "on_train_batch_end", _stop_in_the_second_epoch)
        with pytest.raises(Interrupted):
            fitting.fit(_model(blobs), blobs, AVERAGING[name], training, folder)
    resumed = fitting.fit(model, blobs, AVERAGING[name], training, folder)
    assert resumed.resumed_at == 2
    assert [record["val_loss"] for record in resumed.records] == [record["val_loss"] for record in whole.records]
    for mine, theirs in zip(model.get_weights(), whole_model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _stop_in_the_second_epoch(self: Checkpointing, batch: int, logs: Any = None) -> None:
    if self._epoch == 1 and batch + 1 < self.when.steps_per_epoch:
        self._agreed = 143
        self._leave(1, batch + 1)
