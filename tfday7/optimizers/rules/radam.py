"""Rectified Adam (Liu et al., 2020, arXiv:1908.03265, algorithm 2): Adam that trusts its divisor when it knows enough.

While the average has seen too little for its variance to be known, steps are those of momentum alone.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.adam import moments, slots
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend

THRESHOLD = 5.0  # The paper says 4; its authors' code, and TensorFlow Addons, 5.


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the mean gradient, divided by the root of its mean square as far as that is rectified."""
    first, second, slots = moments(gradient, slots, step, settings)
    adapted = _rectification(step, settings["beta_2"]) * first / (tf.sqrt(second) + settings["epsilon"])
    length, _ = _lengths(step, settings["beta_2"])
    return descend(variable, tf.where(length >= THRESHOLD, adapted, first), step), slots


def _lengths(step: Step, beta_2: float) -> tuple[Any, float]:
    """Returns the length of the simple moving average that the exponential one approximates, now and in the limit."""
    limit = 2.0 / (1.0 - beta_2) - 1.0
    correction = bias_correction(beta_2, step)
    return limit - 2.0 * step.number * (1.0 - correction) / correction, limit


def _rectification(step: Step, beta_2: float) -> Any:
    now, limit = _lengths(step, beta_2)
    now = tf.maximum(now, THRESHOLD)  # Below, the term is not used and has no real root.
    limit = max(limit, THRESHOLD)
    return tf.sqrt((now - 4.0) * (now - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * now))


__all__ = ["slots", "update"]
