"""LAMB (You et al., 2020, arXiv:1904.00962, algorithm 2): Adam's step of each layer, as long as the layer's weights.

As in the authors' code, biases and normalization scales get Adam's step as it is. Weight decay is part of the step
whose length is set, so it is decoupled from the moments but not from the ratio.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.adam import moments, slots
from tfday7.optimizers.rules.step import Settings, Slots, Step, trust_ratio, with_decay


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the rate times the weights' norm, in the direction of Adam's step with decay."""
    first, second, slots = moments(gradient, slots, step, settings)
    direction = with_decay(first / (tf.sqrt(second) + settings["epsilon"]), variable, step)
    return variable - step.learning_rate * trust_ratio(variable, direction) * direction, slots


__all__ = ["slots", "update"]
