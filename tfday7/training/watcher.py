"""Who looks at a model while it trains, and may end a training that leads nowhere.

Unlike an `Observer`, which shows what happens, a watcher costs time of its own. It is given a share of the training's:
it is called at the end of an epoch only while what it took so far is at most that share.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from tfday7.core.frameworks import keras

SHARE = 0.02  # Of the time of training.


class Watcher(Protocol):
    """What a watcher has to offer."""

    def begin(self, records: list[dict[str, Any]]) -> None:
        """Training starts after these epochs; the time that this takes is not counted."""

    def epoch(self, records: list[dict[str, Any]], thorough: bool) -> str:
        """Looks at a run after an epoch.

        Args:
            records: those of all epochs so far, as in metrics.jsonl.
            thorough: whether there is time for as much as `begin` did; if not, a glance has to do.

        Returns:
            Why training shall end now; empty to let it go on.
        """

    def end(self, records: list[dict[str, Any]]) -> None:
        """Training has ended by itself, and the model has the weights of its last epoch; not counted either."""


class Watching(keras.callbacks.Callback):
    """Calls a watcher. Importing this module loads TensorFlow.

    Args:
        watcher: is called.
        log: its `records` are those of the epochs so far.

    Attributes:
        reason: why the watcher ended training; empty if it did not.
        seconds: what its looks at epochs have taken.
    """

    def __init__(self, watcher: Watcher, log: Any) -> None:
        super().__init__()
        self.watcher = watcher
        self.log = log
        self.reason = ""
        self.seconds = 0.0
        self._trained = 0.0
        self._thorough, self._glance = 0.0, 0.0  # What the longest look and glance have taken.
        self._began = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Lets the watcher see the model as it starts; how long that takes says what a look at an epoch will take."""
        started = time.perf_counter()
        self.watcher.begin(self.log.records)
        self._thorough = time.perf_counter() - started

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Calls the watcher if the longest look or glance so far, once more, still fits its share."""
        started = time.perf_counter()
        self._trained += started - self._began
        left = SHARE * self._trained - self.seconds
        thorough = self._thorough <= left
        if not thorough and self._glance > left:
            return
        self.reason = self.watcher.epoch(self.log.records, thorough)
        took = time.perf_counter() - started
        self.seconds += took
        if thorough:
            self._thorough = max(self._thorough, took)
        else:
            self._glance = max(self._glance, took)
        if self.reason:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Lets the watcher see the model as it ends."""
        self.watcher.end(self.log.records)
