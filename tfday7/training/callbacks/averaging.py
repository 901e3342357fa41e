"""Validates and keeps the averaged weights of optimizers that have some, while training goes on without them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.frameworks import keras
from tfday7.optimizers.averages import averages


class Averaging(keras.callbacks.Callback):
    """Lends the model its averaged weights from the start of validation to the end of the epoch's bookkeeping.

    Must stand after the callbacks that look at the model as validated (the best weights), and before those that save
    the state of training; its end of an epoch gives the trained weights back bit for bit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[tuple[Any, np.ndarray]] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keeps Keras from putting the averages in the place of the trained weights when `fit` ends."""
        self.model.optimizer.finalize_variable_values = _nothing

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Lends the averages."""
        variables = self.model.trainable_variables
        averaged = averages(self.model.optimizer, variables)
        if averaged is not None:
            values = [value.numpy() for value in averaged]
            self._trained = [(variable, variable.numpy()) for variable in variables]
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Gives the trained weights back."""
        for variable, value in self._trained:
            variable.assign(value)
        self._trained = []


def _nothing(variables: Any) -> None:
    """The best weights of a run decide what the model ends with."""
