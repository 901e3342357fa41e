"""Schedule-free AdamW (Defazio et al., 2024, arXiv:2405.15682, algorithm 1): averaging in the place of a falling rate.

Three points: AdamW moves z; x is the average of all z; gradients are taken between them, at
y = (1 - beta_1) z + beta_1 x. The model's variable is y, z is a slot, and x, the one to validate and keep, follows from
both; so the memory is AdamW's.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, mean, with_decay


def slots(variable: Any) -> dict[str, Any]:
    """Returns z, which starts at the variable, the second moment, and the sum of the average's weights, a scalar."""
    return {"z": tf.convert_to_tensor(variable), "velocity": None, "weight_sum": tf.zeros([], variable.dtype)}


def average(variable: Any, slots: Slots, settings: Settings) -> Any:
    """Returns x."""
    return (variable - (1.0 - settings["beta_1"]) * slots["z"]) / settings["beta_1"]


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves z, then the average x towards it, and returns the new y."""
    beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
    velocity = mean(slots["velocity"], tf.square(gradient), beta_2)
    rate = step.learning_rate * tf.sqrt(bias_correction(beta_2, step))
    direction = with_decay(gradient / (tf.sqrt(velocity) + settings["epsilon"]), variable, step)
    z = slots["z"] - rate * direction
    weight = tf.square(rate)  # Steps of the warm-up count less.
    weight_sum = slots["weight_sum"] + weight
    x = average(variable, slots, settings)
    x = x + tf.math.divide_no_nan(weight, weight_sum) * (z - x)
    return (1.0 - beta_1) * z + beta_1 * x, {"z": z, "velocity": velocity, "weight_sum": weight_sum}
