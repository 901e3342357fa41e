"""Reports the score of several targets beside the metric of each: their mean, as `scoring.score` has it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tfday7.core.frameworks import keras

PREFIXES = ("", "val_")


class MeanScore(keras.callbacks.Callback):
    """Adds a mean of metrics, before the first of them, to what later callbacks are told of an epoch.

    Args:
        name: of the mean.
        parts: names of the metrics, one or more.
    """

    def __init__(self, name: str, parts: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.parts = list(parts)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the mean on training and the one on validation examples, where all parts are there."""
        if logs is None:
            return
        given = dict(logs)
        logs.clear()
        for name, value in given.items():
            for prefix in PREFIXES:
                parts = [prefix + part for part in self.parts]
                if name == parts[0] and given.keys() >= set(parts):
                    logs[prefix + self.name] = statistics.fmean(float(given[part]) for part in parts)
            logs[name] = value
