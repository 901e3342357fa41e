"""Makes dropout and other random layers a function of (seed, epoch): a resumed epoch draws what it would have."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.training import state


class EpochSeed(keras.callbacks.Callback):
    """Reseeds all random layers at the start of each epoch.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self._generators: list[Any] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Finds the generators once; walking over all layers every epoch would cost more than seeding them."""
        self._generators = state.generators(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets every generator."""
        state.reseed(self._generators, self.seed, epoch)
