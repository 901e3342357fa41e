"""LARS (You et al., 2017, arXiv:1708.03888, algorithm 1): momentum SGD with a rate for each layer.

Biases and normalization scales take the plain rate and no decay, as in SimCLR (arXiv:2002.05709) and MLPerf.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, with_decay

TRUST_COEFFICIENT = 0.001  # The paper's eta: how far to trust a layer to change in one step.


def slots(variable: Any) -> dict[str, Any]:
    """Returns the momentum, which holds rates already."""
    return {"momentum": None}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Adds eta |w| / (|g| + decay |w|) times the rate and the decayed gradient to the momentum, and moves by it."""
    local = tf.ones([], variable.dtype)
    if variable.shape.rank > 1:
        weights = tf.norm(variable)
        divisor = tf.norm(gradient) + step.weight_decay * weights
        ratio = TRUST_COEFFICIENT * tf.math.divide_no_nan(weights, divisor)
        local = tf.where(ratio > 0, ratio, local)
    direction = with_decay(gradient, variable, step)
    momentum = settings["momentum"] * slots["momentum"] + step.learning_rate * local * direction
    return variable - momentum, {"momentum": momentum}
