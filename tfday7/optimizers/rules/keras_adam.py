"""Adam and AdamW as tf_keras computes them: epsilon is added before the bias of the second moment is corrected.

The paper's text (Kingma & Ba, 2015, arXiv:1412.6980, end of section 2) calls it epsilon hat. It matters for small
gradients in the first steps: at step 1 it is 32 times the epsilon of algorithm 1. A mesh needs it to end where one
device does.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules import adam
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend

slots = adam.slots


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the mean gradient over the root of its mean square."""
    first, second, slots = adam.moments(gradient, slots, step, settings)
    epsilon = settings["epsilon"] / tf.sqrt(bias_correction(settings["beta_2"], step))
    return descend(variable, first / (tf.sqrt(second) + epsilon), step), slots
