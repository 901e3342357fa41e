"""Yogi (Zaheer et al., 2018, NeurIPS, algorithm 2): Adam whose divisor moves by the gradient's square at most.

So the rate cannot shoot up when gradients become small all at once. Bias correction and the first divisor, 1e-6, are
those of the authors' code, as in TensorFlow Addons.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend, mean

FIRST_VELOCITY = 1e-6


def slots(variable: Any) -> dict[str, Any]:
    """Returns the two moments; the second starts above 0."""
    return {"momentum": None, "velocity": tf.fill(variable.shape, tf.cast(FIRST_VELOCITY, variable.dtype))}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the mean gradient over the root of a square that follows additively."""
    beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
    square, velocity = tf.square(gradient), slots["velocity"]
    momentum = mean(slots["momentum"], gradient, beta_1)
    velocity = velocity - (1.0 - beta_2) * tf.sign(velocity - square) * square
    correction = tf.sqrt(bias_correction(beta_2, step)) / bias_correction(beta_1, step)
    moved = descend(variable, correction * momentum / (tf.sqrt(velocity) + settings["epsilon"]), step)
    return moved, {"momentum": momentum, "velocity": velocity}
