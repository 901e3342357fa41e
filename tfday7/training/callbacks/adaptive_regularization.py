"""Strengthens dropout and L2 while the gap between training and validation loss keeps growing."""

from __future__ import annotations

from typing import Any

from absl import logging

from tfday7.core.frameworks import keras

WINDOW = 3  # Epochs in a row over which the gap has to grow: fewer react to noise, more react late.
L2_FACTOR = 2.0
DROPOUT_STEP = 0.1
MAX_DROPOUT = 0.6  # Beyond this most layers learn nothing in the time that a run has.
MAX_L2 = 0.1


class AdaptiveRegularization(keras.callbacks.Callback):
    """Doubles L2 and adds 0.1 to the dropout rates each time the gap has grown for three epochs in a row.

    The change holds for later epochs; the graph is traced again, which costs about a second each time.

    Attributes:
        changes: what was changed: {"epoch", "dropout": highest rate, "l2": highest factor}, one entry a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[dict[str, float]] = []
        self._gaps: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the gap, and strengthens when it has grown."""
        logs = logs or {}
        self._gaps = [*self._gaps, logs["val_loss"] - logs["loss"]][-(WINDOW + 1) :]
        growing = len(self._gaps) > WINDOW and all(
            later > earlier for earlier, later in zip(self._gaps, self._gaps[1:], strict=False)
        )
        if growing and self._gaps[-1] > 0 and self._strengthen():
            self._gaps = []
            self.changes.append({"epoch": epoch + 1, **self._strengths()})
            logging.info("epoch %d: the gap grows; regularization is now %s", epoch + 1, self._strengths())

    def get_state(self) -> dict[str, Any]:
        """Returns what has to survive a restart."""
        rates = [float(layer.rate) for layer in self._dropouts()]
        factors = [float(regularizer.l2) for regularizer in self._penalties()]
        return {"changes": self.changes, "gaps": self._gaps, "rates": rates, "factors": factors}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state back; call it before the graph is traced."""
        self.changes, self._gaps = state["changes"], state["gaps"]
        for layer, rate in zip(self._dropouts(), state["rates"], strict=True):
            layer.rate = rate
        for regularizer, factor in zip(self._penalties(), state["factors"], strict=True):
            regularizer.l2 = factor

    def _strengthen(self) -> bool:
        before = self._strengths()
        for layer in self._dropouts():
            layer.rate = min(layer.rate + DROPOUT_STEP, max(MAX_DROPOUT, layer.rate))
        for regularizer in self._penalties():
            regularizer.l2 = min(float(regularizer.l2) * L2_FACTOR, max(MAX_L2, float(regularizer.l2)))
        if self._strengths() == before:
            return False
        self.model.make_train_function(force=True)  # Rates are constants of the traced graph.
        return True

    def _strengths(self) -> dict[str, float]:
        rates = [float(layer.rate) for layer in self._dropouts()]
        factors = [float(regularizer.l2) for regularizer in self._penalties()]
        return {"dropout": max(rates, default=0.0), "l2": max(factors, default=0.0)}

    def _dropouts(self) -> list[Any]:
        return [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout)]

    def _penalties(self) -> list[Any]:
        owned = {
            id(regularizer): regularizer
            for layer in self.model.layers
            if isinstance(regularizer := getattr(layer, "kernel_regularizer", None), keras.regularizers.L2)
        }
        return list(owned.values())
