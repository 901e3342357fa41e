"""Who looks at a model while it trains, and may end a training that leads nowhere.

Unlike an `Observer`, which shows what happens, a watcher costs time of its own. It is given a share of the training's:
it is called at the end of an epoch only while what it took so far is at most that share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from tfday7.core.frameworks import keras
from tfday7.distribution import agreement

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


class OnTwin:
    """A watcher that looks at a plain copy of a model whose variables lie on several devices.

    In a group of processes each has one of these, as reading a statistic sums it over the group; the chief's alone has
    a watcher.

    Args:
        model: what is trained.
        twin: the same model on one device, compiled; it is given the weights before each look. None without a watcher.
        watcher: looks at the twin.
    """

    def __init__(self, model: Any, twin: Any = None, watcher: Watcher | None = None) -> None:
        self.model, self.twin, self.watcher = model, twin, watcher
        # Keras trains, and calls its callbacks, within the scope of its strategy; a thread of its own stands outside.
        self._outside = ThreadPoolExecutor(1)

    def begin(self, records: list[dict[str, Any]]) -> None:
        """Passes on that training starts."""
        self._look(lambda watcher: watcher.begin(records))

    def epoch(self, records: list[dict[str, Any]], thorough: bool) -> str:
        """Passes on a look at an epoch, and what it says."""
        return self._look(lambda watcher: watcher.epoch(records, thorough)) or ""

    def end(self, records: list[dict[str, Any]]) -> None:
        """Passes on that training has ended."""
        self._look(lambda watcher: watcher.end(records))

    def _look(self, look: Callable[[Watcher], Any]) -> Any:
        weights = self.model.get_weights()
        watcher = self.watcher
        if watcher is None:
            return None
        self._outside.submit(self.twin.set_weights, weights).result()
        return self._outside.submit(look, watcher).result()


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
        looks = 2 if self._thorough <= left else 1 if self._glance <= left else 0
        looks = agreement.from_chief(self.model, looks)  # Its clock decides for a group.
        if not looks:
            return
        thorough = looks > 1
        self.reason = self.watcher.epoch(self.log.records, thorough)
        took = time.perf_counter() - started
        self.seconds += took
        if thorough:
            self._thorough = max(self._thorough, took)
        else:
            self._glance = max(self._glance, took)
        if agreement.from_chief(self.model, int(bool(self.reason))):
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Lets the watcher see the model as it ends."""
        self.watcher.end(self.log.records)
