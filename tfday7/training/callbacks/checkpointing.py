"""Saves the run's state when it is cheap, at the end, and when a signal asks the run to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras
from tfday7.core.signals import StopRequest
from tfday7.training import state
from tfday7.training.callbacks.adaptive_regularization import AdaptiveRegularization
from tfday7.training.callbacks.best_weights import BestWeights
from tfday7.training.callbacks.stop_on_nan import StopOnNaN
from tfday7.training.checkpoints import CheckpointStore


class Checkpointing(keras.callbacks.Callback):
    """Writes checkpoints; must come last, after the callbacks whose state it saves.

    Args:
        store: where checkpoints go; None writes none.
        length: (epochs, batches in an epoch) of the whole run.
        best: its state and weights are part of every checkpoint.
        adaptive: likewise; None when it is off.
        nan: likewise.
        stop: asked after every execution; when it is set, the position is saved and `Interrupted` raised.
        first: (epoch, step) at which training starts.
        on_first_epoch: called when the epoch that training starts in begins, after Keras has reset its metrics.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        length: tuple[int, int],
        best: BestWeights,
        adaptive: AdaptiveRegularization | None,
        nan: StopOnNaN,
        stop: StopRequest,
        first: tuple[int, int],
        on_first_epoch: Callable[[], None],
    ) -> None:
        super().__init__()
        self.store = store
        self.epochs, self.steps_per_epoch = length
        self.best = best
        self.adaptive = adaptive
        self.nan = nan
        self.stop = stop
        self.first = first
        self.on_first_epoch = on_first_epoch
        self._epoch = first[0]
        self._saved = first

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch; in the first one, puts back the metrics of an epoch that was interrupted."""
        self._epoch = epoch
        if epoch == self.first[0]:
            self.on_first_epoch()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Saves in the middle of an epoch when the run is asked to stop."""
        if self.stop and batch + 1 < self.steps_per_epoch:
            self._leave(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves between epochs when it is cheap or asked for."""
        if self.stop and not self.model.stop_training:
            self._leave(epoch + 1, 0)
        if self.store is not None and self.store.is_due():
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Saves the end of training, from which more epochs can go on."""
        if self.store is not None and self._saved != (self._epoch + 1, 0):
            self._save(self._epoch + 1, 0)

    def _leave(self, epoch: int, step: int) -> None:
        saved = "nothing was saved"
        if self.store is not None:
            saved = f"saved {self._save(epoch, step)}; the same command goes on from there"
        raise Interrupted(f"stopped in epoch {self._epoch + 1}; {saved}", self.stop.exit_code or 1)

    def _save(self, epoch: int, step: int) -> Any:
        values: dict[str, Any] = {"epoch": epoch, "step": step, "epochs": self.epochs, "best": self.best.get_state()}
        values["nan_epoch"] = self.nan.epoch
        if self.adaptive is not None:
            values["adaptive"] = self.adaptive.get_state()
        self._saved = (epoch, step)
        return self.store.save(self._capture, values) if self.store is not None else None

    def _capture(self) -> dict[str, np.ndarray]:
        best = {f"best/{index:05d}": weight for index, weight in enumerate(self.best.weights or [])}
        return {**state.capture(self.model), **best}
