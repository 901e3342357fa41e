"""SGD with momentum (Polyak, 1964) or Nesterov's (Sutskever et al., 2013, ICML), as tf_keras's, for a mesh."""

from __future__ import annotations

from typing import Any

from tfday7.optimizers.rules.step import Settings, Slots, Step, with_decay


def slots(variable: Any) -> dict[str, Any]:
    """Returns the momentum, which holds rates already."""
    return {"momentum": None}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by the momentum, or from where it leads."""
    downhill = -step.learning_rate * gradient
    momentum = settings["momentum"] * slots["momentum"] + downhill
    change = settings["momentum"] * momentum + downhill if settings["nesterov"] else momentum
    return variable + change - step.learning_rate * with_decay(0.0, variable, step), {"momentum": momentum}
