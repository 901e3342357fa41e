"""NovoGrad (Ginsburg et al., 2019, arXiv:1905.11286, algorithm 1): momentum of gradients of unit norm for each layer.

The second moment is one number for each variable, so the memory is that of SGD. Decay is part of the momentum.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, mean, with_decay


def slots(variable: Any) -> dict[str, Any]:
    """Returns the momentum and the squared norm, a scalar."""
    return {"momentum": None, "velocity": tf.zeros([], variable.dtype)}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the momentum of normalized gradients."""
    norm, velocity = tf.reduce_sum(tf.square(gradient)), slots["velocity"]
    # 0: the first gradient of this variable, which may come later than the run's first step.
    velocity = tf.where(velocity > 0, mean(velocity, norm, settings["beta_2"]), norm)
    direction = with_decay(gradient / (tf.sqrt(velocity) + settings["epsilon"]), variable, step)
    momentum = settings["beta_1"] * slots["momentum"] + direction
    return variable - step.learning_rate * momentum, {"momentum": momentum, "velocity": velocity}
