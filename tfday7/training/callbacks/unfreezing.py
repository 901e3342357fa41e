"""Trains the last layer alone, and the layers before it later, from the output to the input, when asked to."""

from __future__ import annotations

from typing import Any

from absl import logging

from tfday7.core.frameworks import keras
from tfday7.models import transfer
from tfday7.optimizers import state


class Unfreezing(keras.callbacks.Callback):
    """Freezes all layers but the last, and lets a quarter of them more train every `epochs` epochs.

    Which layers train is a function of the epoch alone, so nothing of it needs saving. The optimizer gets its slots for
    all layers at once, and keeps its step count: a layer that joins later finds the schedule where it is.

    Args:
        model: a compiled model.
        epochs: between two steps; 0 keeps the layers frozen.

    Raises:
        UserError: the model has no layer with weights but its head.
    """

    def __init__(self, model: Any, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs
        self.layers = transfer.freezable(model)
        state.build(model.optimizer, model.trainable_variables)
        transfer.freeze(self.layers)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Lets the layers of this epoch train; the graph is traced again when they change."""
        if transfer.freeze(self.layers, epoch // self.epochs if self.epochs else 0):
            self.model.make_train_function(force=True)
            training = sum(layer.trainable for layer in self.layers)
            logging.info("epoch %d: %d of %d frozen layers train now", epoch + 1, training, len(self.layers))
