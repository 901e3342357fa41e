"""Stops a run whose loss is no longer a number: no later step can repair it."""

from __future__ import annotations

import math

from tfday7.core.frameworks import keras


class StopOnNaN(keras.callbacks.Callback):
    """Watches the running loss after every execution.

    Attributes:
        epoch: the epoch, counted from 1, in which the loss became NaN or infinite; 0 if it never did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self._current = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch."""
        self._current = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss so far."""
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            self.epoch = self._current
            self.model.stop_training = True
