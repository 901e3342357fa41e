"""Adam (Kingma & Ba, 2015, arXiv:1412.6980, algorithm 1), with decoupled decay: AdamW (arXiv:1711.05101).

tf_keras has both; this form serves meshes, and the rules that build on it.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend, mean


def slots(variable: Any) -> dict[str, Any]:
    """Returns the two moments, zeros at first."""
    return {"momentum": None, "velocity": None}


def moments(gradient: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, Any, dict[str, Any]]:
    """Returns the bias-corrected mean and square of the gradient, and the new slots."""
    beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
    momentum = mean(slots["momentum"], gradient, beta_1)
    velocity = mean(slots["velocity"], tf.square(gradient), beta_2)
    corrected = momentum / bias_correction(beta_1, step), velocity / bias_correction(beta_2, step)
    return *corrected, {"momentum": momentum, "velocity": velocity}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the mean gradient over the root of its mean square."""
    first, second, slots = moments(gradient, slots, step, settings)
    return descend(variable, first / (tf.sqrt(second) + settings["epsilon"]), step), slots
