"""Keeps the weights of the best epoch, and stops when no epoch has been better for a while."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras

MONITOR = "val_loss"


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights with the lowest validation loss.

    The loss, not the metric, decides: it also tells apart two epochs with equally many right answers.

    Args:
        patience: stop after this many epochs without a better one; 0 never stops.

    Attributes:
        best: the lowest validation loss; infinity before the first finite one.
        best_epoch: its epoch, counted from 1; 0 before.
        weights: its weights, in the order of `Model.get_weights`; None before.
    """

    def __init__(self, patience: int = 0) -> None:
        super().__init__()
        self.patience = patience
        self.best = math.inf
        self.best_epoch = 0
        self.weights: list[np.ndarray] | None = None
        self.stopped_early = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compares the epoch with the best one."""
        value = (logs or {}).get(MONITOR, math.inf)
        if math.isfinite(value) and value < self.best:
            self.best, self.best_epoch, self.weights = float(value), epoch + 1, self.model.get_weights()
        elif self.patience and epoch + 1 - self.best_epoch >= self.patience:
            self.model.stop_training = self.stopped_early = True

    def get_state(self) -> dict[str, Any]:
        """Returns what has to survive a restart, without the weights."""
        best = self.best if self.weights is not None else None
        return {"best": best, "best_epoch": self.best_epoch, "stopped_early": self.stopped_early}

    def set_state(self, state: dict[str, Any], weights: list[np.ndarray] | None) -> None:
        """Takes back the state and the best weights."""
        self.best = math.inf if state["best"] is None else state["best"]
        self.best_epoch, self.weights, self.stopped_early = state["best_epoch"], weights, state["stopped_early"]
