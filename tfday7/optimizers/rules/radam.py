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
    length, limit = _lengths(step, settings["beta_2"])
    known = tf.cast(length >= THRESHOLD, variable.dtype)  # 0 or 1: DTensor crashes in `tf.where` with a scalar choice.
    adapted = _rectification(length, limit) / (tf.sqrt(second) + settings["epsilon"])
    return descend(variable, (known * adapted + (1.0 - known)) * first, step), slots


def _lengths(step: Step, beta_2: float) -> tuple[Any, float]:
    """Returns the length of the simple moving average that the exponential one approximates, now and in the limit."""
    limit = 2.0 / (1.0 - beta_2) - 1.0
    correction = bias_correction(beta_2, step)
    return limit - 2.0 * step.number * (1.0 - correction) / correction, limit


def _rectification(length: Any, limit: float) -> Any:
    length = tf.maximum(length, THRESHOLD)  # Below, the term is not used and has no real root.
    limit = max(limit, THRESHOLD)
    return tf.sqrt((length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length))


__all__ = ["slots", "update"]
