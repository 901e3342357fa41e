"""Saves the run's state when it is cheap, at the end, and when a signal asks the run to stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras
from tfday7.core.signals import StopRequest
from tfday7.distribution import agreement
from tfday7.training import state
from tfday7.training.callbacks.adaptive_regularization import AdaptiveRegularization
from tfday7.training.callbacks.best_weights import BestWeights
from tfday7.training.callbacks.stop_on_nan import StopOnNaN
from tfday7.training.checkpoints import CheckpointStore
from tfday7.training.watcher import Watching


@dataclasses.dataclass(frozen=True)
class When:
    """When checkpoints are written.

    Attributes:
        epochs: of the whole run.
        until: the epochs that are trained now, of the whole run.
        steps_per_epoch: batches in an epoch.
        every_steps: save after so many steps, also within an epoch; 0: between epochs, when it is cheap.
        remembers: whether the state at the start, and at the end of each epoch, is kept in memory, to go back to.
    """

    epochs: int
    until: int
    steps_per_epoch: int
    every_steps: int = 0
    remembers: bool = False


class Checkpointing(keras.callbacks.Callback):
    """Writes checkpoints; must come last, after the callbacks whose state it saves.

    In a group of processes all read the state at the same moment, as reading a statistic sums it over the group; the
    chief writes. A signal to one of them stops all of them at the same step.

    Args:
        store: where checkpoints go; None writes none, as on workers that are not the chief.
        when: they are written.
        best: its state and weights are part of every checkpoint.
        adaptive: likewise; None when it is off.
        nan: likewise.
        stop: asked after every execution; when it is set, the position is saved and `Interrupted` raised.
        first: (epoch, step) at which training starts.
        on_first_epoch: called when the epoch that training starts in begins, after Keras has reset its metrics.

    Attributes:
        remembered: (arrays, epoch, step) to go back to; None where nothing is remembered.
        recoveries: how often the run went back so far; part of every checkpoint.
        watching: the callbacks of watchers, of which one may end the run; why it did is part of every checkpoint.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        when: When,
        best: BestWeights,
        adaptive: AdaptiveRegularization | None,
        nan: StopOnNaN,
        stop: StopRequest,
        first: tuple[int, int],
        on_first_epoch: Callable[[], None],
    ) -> None:
        super().__init__()
        self.store = store
        self.when = when
        self.best = best
        self.adaptive = adaptive
        self.nan = nan
        self.stop = stop
        self.first = first
        self.on_first_epoch = on_first_epoch
        self.remembered: tuple[dict[str, np.ndarray], int, int] | None = None
        self.recoveries: list[dict[str, Any]] = []
        self.watching: Sequence[Watching] = ()
        self._epoch = first[0]
        self._saved = first
        self._agreed = 0  # The exit code with which all processes stop.

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Learns whether this run is saved at all: the chief knows."""
        self._saves = bool(agreement.from_chief(self.model, int(self.store is not None)))
        if self.when.remembers:
            self.remembered = (self._capture(), *self.first)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch; in the first one, puts back the metrics of an epoch that was interrupted."""
        self._epoch = epoch
        if epoch == self.first[0]:
            self.on_first_epoch()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Saves in the middle of an epoch: when the run is asked to stop, and after every so many steps."""
        self._hear()
        if batch + 1 >= self.when.steps_per_epoch:
            return
        if self._agreed:
            self._leave(self._epoch, batch + 1)
        if self.when.every_steps and self._steps_since_saved(batch + 1) >= self.when.every_steps:
            self._remember(self._epoch, batch + 1)
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves between epochs when it is cheap, due or asked for; the end is saved behind those who look at it."""
        self._hear()
        is_last = self.model.stop_training or epoch + 1 >= self.when.until
        if self._agreed and not is_last:
            self._leave(epoch + 1, 0)
        if not self._remember(epoch + 1, 0):
            return
        if self.when.every_steps:
            is_due = self._steps_since_saved(self.when.steps_per_epoch) >= self.when.every_steps
        else:
            is_due = bool(agreement.from_chief(self.model, int(self.store is not None and self.store.is_due())))
        if is_due and not is_last:
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Saves the end of training, from which more epochs can go on."""
        if self._saved != (self._epoch + 1, 0):
            self._save(self._epoch + 1, 0)

    def _hear(self) -> None:
        """Makes a signal to one process a signal to all of them.

        One that comes while they agree is not among what they have agreed on: it stays, and is heard the next time.
        """
        self._agreed = agreement.highest(self.model, self.stop.exit_code or 0)
        if self._agreed:
            self.stop.exit_code = self._agreed

    def _remember(self, epoch: int, step: int) -> bool:
        """Keeps the state, to go back to; returns False for one that is not finite, from which nothing comes back."""
        if not self.when.remembers:
            return True
        arrays = self._capture()
        finite = all(np.isfinite(each).all() for each in arrays.values() if each.dtype.kind == "f")
        if finite:
            self.remembered = (arrays, epoch, step)
        return finite

    def _steps_since_saved(self, step: int) -> int:
        epoch, at = self._saved
        return (self._epoch - epoch) * self.when.steps_per_epoch + step - at

    def _leave(self, epoch: int, step: int) -> None:
        saved = "nothing was saved"
        if self._saves:
            path = self._save(epoch, step)
            saved = f"saved {path or 'by the chief'}; the same command goes on from there"
        raise Interrupted(f"stopped in epoch {self._epoch + 1}; {saved}", self._agreed)

    def _save(self, epoch: int, step: int) -> Any:
        """Returns the path of a checkpoint that has been written; None where this process writes none."""
        if not self._saves:
            return None
        values: dict[str, Any] = {"epoch": epoch, "step": step, "best": self.best.get_state()}
        values |= {"epochs": self.when.epochs, "nan_epoch": self.nan.epoch, "recoveries": self.recoveries}
        values["ended"] = next((each.reason for each in self.watching if each.reason), "")
        if self.adaptive is not None:
            values["adaptive"] = self.adaptive.get_state()
        self._saved = (epoch, step)
        if self.store is None:
            self._capture()
            return None
        return self.store.save(self._capture, values)

    def _capture(self) -> dict[str, np.ndarray]:
        best = {f"best/{index:05d}": weight for index, weight in enumerate(self.best.weights or [])}
        return {**state.capture(self.model), **best}
