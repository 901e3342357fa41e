"""Stops a run whose loss is no longer a number: no later step can repair it."""

from __future__ import annotations

import math

from tfday7.core.frameworks import keras


class BlownUp(Exception):  # noqa: N818 - a place, which the run comes back from.
    """The loss is no longer a number, and the run may go back.

    Args:
        epoch: counted from 0.
        step: the first one of the epoch that comes after the execution in which it happened.
    """

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss is not finite in epoch {epoch + 1}, before step {step}")
        self.epoch, self.step = epoch, step


class StopOnNaN(keras.callbacks.Callback):
    """Watches the running loss after every execution.

    Attributes:
        epoch: the epoch, counted from 1, in which the loss became NaN or infinite; 0 if it never did.
        may_go_back: raise `BlownUp` instead of ending the run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.may_go_back = False
        self.epoch = 0
        self._current = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch."""
        self._current = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss so far."""
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            if self.may_go_back:
                raise BlownUp(self._current - 1, batch + 1)
            self.epoch = self._current
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the epoch's loss, where no batches are seen (parameter servers)."""
        self.on_train_batch_end(-1, logs)
