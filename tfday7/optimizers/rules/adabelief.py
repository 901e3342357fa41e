"""AdaBelief (Zhuang et al., 2020, arXiv:2010.07468, algorithm 2): Adam that divides by the surprise, not by the size.

A gradient close to its own average is believed, and the step is long.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.adam import slots
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend, mean


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the mean gradient over the root of the mean squared deviation from it."""
    beta_1, beta_2, epsilon = settings["beta_1"], settings["beta_2"], settings["epsilon"]
    momentum = mean(slots["momentum"], gradient, beta_1)
    velocity = mean(slots["velocity"], tf.square(gradient - momentum), beta_2) + epsilon
    first, second = momentum / bias_correction(beta_1, step), velocity / bias_correction(beta_2, step)
    moved = descend(variable, first / (tf.sqrt(second) + epsilon), step)
    return moved, {"momentum": momentum, "velocity": velocity}


__all__ = ["slots", "update"]
