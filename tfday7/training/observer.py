"""How training tells whoever watches what it does; drawing it is the watcher's business."""

from __future__ import annotations

import time
from typing import Any, Protocol

from tfday7.core.frameworks import keras

MIN_SECONDS_BETWEEN_STEPS = 0.1


class Observer(Protocol):
    """What a progress display has to offer."""

    def begin(self, first_epoch: int, epochs: int, steps_per_epoch: int) -> None:
        """Training starts at `first_epoch` (counted from 0) of `epochs`."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """`step` steps of the epoch (counted from 0) are done; the loss is its mean so far."""

    def epoch(self, record: dict[str, Any], is_best: bool) -> None:
        """An epoch is done; `record` is its line in metrics.jsonl."""

    def end(self) -> None:
        """Training is over, or was stopped by an error."""


class Observing(keras.callbacks.Callback):
    """Passes on what happens, at most ten times a second. Importing this module loads TensorFlow."""

    def __init__(self, observer: Observer, log: Any, best: Any, first_epoch: int, epochs: int, steps: int) -> None:
        super().__init__()
        self.observer = observer
        self.log = log
        self.best = best
        self.span = (first_epoch, epochs, steps)
        self._epoch = first_epoch
        self._shown_at = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Opens the display."""
        self.observer.begin(*self.span)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Shows steps, but not more often than people can see."""
        now = time.monotonic()
        if now - self._shown_at >= MIN_SECONDS_BETWEEN_STEPS:
            self._shown_at = now
            self.observer.step(self._epoch, batch + 1, float((logs or {}).get("loss", 0.0)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the epoch's record."""
        self.observer.epoch(self.log.records[-1], self.best.best_epoch == epoch + 1)
