"""Adafactor (Shazeer & Stern, 2018, arXiv:1804.04235, algorithm 5): Adam's divisor from row and column means alone.

tf_keras has one, but it also keeps the whole divisor, which is the memory that is meant to be saved, and the product of
a row and a column without gradients (a dead unit, a pixel that is always 0) underflows to 0 / 0: all weights become NaN
in the first step. Here the two roots are taken one by one.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, mean

EPSILON_1 = 1e-30
EPSILON_2 = 1e-3  # The size at which weights count at least, or those that start at 0 would stay there.
CLIP_THRESHOLD = 1.0
DECAY_EXPONENT = -0.8


def slots(variable: Any) -> dict[str, Any]:
    """Returns row and column means of the squared gradient over the last two dimensions, or the whole for a vector."""
    shape = variable.shape
    if shape.rank < 2:
        return {"velocity": None}
    return {"rows": tf.zeros(shape[:-1], variable.dtype), "columns": tf.zeros(shape[:-2] + shape[-1:], variable.dtype)}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by min(rate, 1 / sqrt(step)) of the weights' root mean square, in the scaled gradient's direction."""
    direction, slots = _scaled(gradient, slots, 1.0 - tf.pow(step.number, DECAY_EXPONENT))
    direction = direction / tf.maximum(_rms(direction) / CLIP_THRESHOLD, 1.0)
    length = tf.minimum(step.learning_rate, tf.math.rsqrt(step.number)) * tf.maximum(_rms(variable), EPSILON_2)
    moved = variable - length * direction
    if step.weight_decay:
        moved = moved - step.learning_rate * step.weight_decay * variable
    return moved, slots


def _scaled(gradient: Any, slots: Slots, beta_2: Any) -> tuple[Any, dict[str, Any]]:
    """Returns the gradient over the root of its mean square, and the new slots."""
    square = tf.square(gradient) + EPSILON_1
    if "velocity" in slots:
        velocity = mean(slots["velocity"], square, beta_2)
        return gradient * tf.math.rsqrt(velocity), {"velocity": velocity}
    rows = mean(slots["rows"], tf.reduce_mean(square, axis=-1), beta_2)
    columns = mean(slots["columns"], tf.reduce_mean(square, axis=-2), beta_2)
    row_factor = tf.math.rsqrt(rows / tf.reduce_mean(rows, axis=-1, keepdims=True))[..., tf.newaxis]
    column_factor = tf.math.rsqrt(columns)[..., tf.newaxis, :]
    return gradient * row_factor * column_factor, {"rows": rows, "columns": columns}


def _rms(tensor: Any) -> Any:
    return tf.sqrt(tf.reduce_mean(tf.square(tensor)))
