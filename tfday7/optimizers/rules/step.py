"""What every rule is told about a step, and the arithmetic that several share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfday7.core.frameworks import tf

Slots = Mapping[str, Any]
Settings = Mapping[str, float]


class Step(NamedTuple):
    """Where training is, for one variable.

    Attributes:
        number: of this step, counted from 1; a scalar of the variable's dtype, like the rate.
        learning_rate: of this step.
        weight_decay: of this variable; 0 when it is exempt.
        matrix: (rows, columns) of the variable as a hidden layer's matrix; None for all others.
    """

    number: Any
    learning_rate: Any
    weight_decay: float = 0.0
    matrix: tuple[int, int] | None = None


def descend(variable: Any, update: Any, step: Step) -> Any:
    """Returns the variable after a step against the update, with decoupled weight decay (arXiv:1711.05101)."""
    return variable - step.learning_rate * with_decay(update, variable, step)


def with_decay(update: Any, variable: Any, step: Step) -> Any:
    """Returns the update with the share of the variable that decays."""
    return update + step.weight_decay * variable if step.weight_decay else update


def mean(old: Any, new: Any, beta: float) -> Any:
    """Returns the exponential moving average: beta of the old, the rest of the new."""
    return beta * old + (1.0 - beta) * new


def bias_correction(beta: float, step: Step) -> Any:
    """Returns 1 - beta^t, the sum of an average's weights that did not start at its zero.

    Written with expm1: in float32 the plain form is already wrong by 5e-5 at step 1 with beta 0.999.
    """
    return -tf.math.expm1(step.number * math.log(beta)) if beta else tf.ones_like(step.number)


def trust_ratio(variable: Any, update: Any) -> Any:
    """Returns |variable| / |update| for matrices, and 1 for vectors and where a norm is 0 (LAMB's phi is identity)."""
    if variable.shape.rank <= 1:
        return tf.ones([], variable.dtype)
    ratio = tf.math.divide_no_nan(tf.norm(variable), tf.norm(update))
    return tf.where(ratio > 0, ratio, tf.ones_like(ratio))
