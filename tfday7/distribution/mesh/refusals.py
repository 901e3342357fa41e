"""Names what cannot be trained on a mesh exactly as on one device; nothing is silently different."""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras

INSTEAD = "--strategy=mirrored can train it"
AMOUNTS = ("rate", "stddev", "dropout", "recurrent_dropout", "_dropout")  # How random layers name theirs.
STATELESS = ("Normalization", "Embedding")  # Their weights that are not trained do not change in training, either.


def check(model: Any) -> None:
    """Checks every layer of a model.

    Raises:
        UserError: the first layer that would train differently, with the reason.
    """
    if len(model.outputs) != 1:
        raise UserError(f"{model.name} has {len(model.outputs)} outputs; on a mesh it must have one", INSTEAD)
    for layer in model._flatten_layers(include_self=False):
        reason = _reason(layer)
        if reason:
            raise UserError(
                f"the layer {layer.name} ({type(layer).__name__}) cannot be trained on a mesh: {reason}", INSTEAD
            )


def _reason(layer: Any) -> str:
    from tf_keras.src.engine.base_layer import BaseRandomLayer

    kind = type(layer).__name__
    layers = keras.layers
    if isinstance(layer, layers.RNN) and not layer.unroll:
        return "DTensor cannot divide its loop over time; unrolled (unroll=True) it can"
    if getattr(layer, "stateful", False) and isinstance(layer, layers.RNN):
        return "its state would be assigned and read within a step"
    if "BatchNormalization" in kind:
        return "its statistics are assigned and read within a step, and DTensor lacks the fused operation"
    if isinstance(layer, BaseRandomLayer) and _is_random(layer):
        return "DTensor draws other random numbers on each device than one device does"
    if kind in ("AddLoss", "AddMetric"):
        return "a loss or metric of its own cannot leave padded examples out"
    if getattr(layer, "_activity_regularizer", None) is not None:
        return "a penalty on its outputs would count padded examples"
    if isinstance(layer, layers.Masking) or getattr(layer, "mask_zero", False):
        return "masks are not kept there"
    if any(getattr(layer, name, None) is not None for name in vars(layer) if name.endswith("_constraint")):
        return "a constraint reads the weight that the optimizer has just assigned"
    if _has_own_state(layer, kind):
        return "it changes weights of its own while training"
    return ""


def _is_random(layer: Any) -> bool:
    """Returns whether a layer draws random numbers in training; a rate of 0 draws none."""
    amounts = [getattr(layer, name) for name in AMOUNTS if hasattr(layer, name)]
    return not amounts or any(amounts)


def _has_own_state(layer: Any, kind: str) -> bool:
    if isinstance(layer, keras.Model) or kind in STATELESS:
        return False
    return layer.trainable and any(not variable.trainable for variable in layer._non_trainable_weights)
