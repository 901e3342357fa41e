"""Strengthens dropout and L2 while the gap between training and validation loss keeps growing."""

from __future__ import annotations

from typing import Any

from absl import logging

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras

WINDOW = 3  # Epochs in a row over which the gap has to grow: fewer react to noise, more react late.
L2_FACTOR = 2.0
DROPOUT_STEP = 0.1
MAX_DROPOUT = 0.6  # Beyond this most layers learn nothing in the time that a run has.
MAX_L2 = 0.1
# What a layer's L2 may be of -> the weights that it penalizes.
KERNELS = {
    "kernel": "kernel",
    "recurrent": "recurrent_kernel",
    "depthwise": "depthwise_kernel",
    "pointwise": "pointwise_kernel",
}


class AdaptiveRegularization(keras.callbacks.Callback):
    """Doubles L2 and adds 0.1 to the dropout rates each time the gap has grown for three epochs in a row.

    The change holds for later epochs; the graph is traced again, which costs about a second each time. What the
    stronger penalty adds to the training loss is taken out of the epoch's record again (so this callback comes before
    those that read it): the loss stays comparable from epoch to epoch, and with the validation loss, whose graph keeps
    the penalty that the run began with.

    Attributes:
        changes: what was changed: {"epoch", "dropout": highest rate, "l2": highest factor}, one entry a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[dict[str, float]] = []
        self._gaps: list[float] = []
        self._first_factors: list[float] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Notes the penalties that the run began with."""
        self._first_factors = self._first_factors or [float(penalty.l2) for penalty, _ in self._penalties()]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the gap, and strengthens when it has grown."""
        logs = {} if logs is None else logs
        logs["loss"] -= self._added_penalty()
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
        factors = [float(penalty.l2) for penalty, _ in self._penalties()]
        state = {"changes": self.changes, "gaps": self._gaps, "rates": rates, "factors": factors}
        return {**state, "first_factors": self._first_factors}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state back; call it before training's graph is traced."""
        self.changes, self._gaps = state["changes"], state["gaps"]
        self._first_factors = state["first_factors"]
        for layer, rate in zip(self._dropouts(), state["rates"], strict=True):
            layer.rate = rate
        for (penalty, _), factor in zip(self._penalties(), state["factors"], strict=True):
            penalty.l2 = factor

    def _strengthen(self) -> bool:
        before = self._strengths()
        for layer in self._dropouts():
            layer.rate = min(layer.rate + DROPOUT_STEP, max(MAX_DROPOUT, layer.rate))
        for penalty, _ in self._penalties():
            penalty.l2 = min(float(penalty.l2) * L2_FACTOR, max(MAX_L2, float(penalty.l2)))
        if self._strengths() == before:
            return False
        self.model.make_train_function(force=True)  # Rates are constants of the traced graph.
        return True

    def _strengths(self) -> dict[str, float]:
        rates = [float(layer.rate) for layer in self._dropouts()]
        factors = [float(penalty.l2) for penalty, _ in self._penalties()]
        return {"dropout": max(rates, default=0.0), "l2": max(factors, default=0.0)}

    def _added_penalty(self) -> float:
        """Returns what the strengthened factors add to the loss, at the weights of the epoch's end."""
        return sum(
            (float(penalty.l2) - first) * sum(float(keras.backend.sum(keras.backend.square(k))) for k in kernels)
            for (penalty, kernels), first in zip(self._penalties(), self._first_factors, strict=True)
        )

    def _dropouts(self) -> list[Any]:
        return dropouts(self.model)

    def _penalties(self) -> list[tuple[Any, list[Any]]]:
        return penalties(self.model)


def dropouts(model: Any) -> list[Any]:
    """Returns the Dropout layers of a model."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]


def penalties(model: Any) -> list[tuple[Any, list[Any]]]:
    """Returns each L2 regularizer of a model with the kernels that it penalizes; layers may share one."""
    owned: dict[int, tuple[Any, list[Any]]] = {}
    for layer in model.layers:
        owner = getattr(layer, "cell", layer)  # A recurrent layer's kernels are its cell's.
        for kind, kernel in KERNELS.items():
            regularizer = getattr(owner, f"{kind}_regularizer", None)
            if isinstance(regularizer, keras.regularizers.L2) and hasattr(owner, kernel):
                owned.setdefault(id(regularizer), (regularizer, []))[1].append(getattr(owner, kernel))
    return list(owned.values())


def check_model(model: Any) -> None:
    """Raises UserError when a model has nothing that `AdaptiveRegularization` could strengthen."""
    if not dropouts(model) and not penalties(model):
        raise UserError(
            "--adaptive_regularization found neither Dropout nor L2 in the model", "add one, or leave the flag out"
        )
