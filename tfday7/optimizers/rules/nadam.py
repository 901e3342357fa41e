"""Nadam (Dozat, 2016, ICLR workshop, algorithm 8 of the long form): Adam with Nesterov's momentum, warmed up.

The momentum of step t is beta_1 (1 - 0.5 * 0.96^(t / 250)): it begins at half of beta_1 and takes tens of
thousands of steps to reach it. The Nadams of tf_keras and Keras 3 have lost the 1 / 250, and reach it within a hundred.

tf_keras has a Nadam, but in a graph it multiplies the momentum schedule once for each variable rather than once for
each step, and keeps the product in no variable that a checkpoint holds: models of two layers already differ from the
same steps taken eagerly, and no run could be resumed exactly.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules.step import Settings, Slots, Step, bias_correction, descend, mean

DECAY, EVERY = 0.96, 250.0  # PyTorch's momentum_decay is 1 / 250.


def slots(variable: Any) -> dict[str, Any]:
    """Returns the two moments, and the product of all momentums so far, a scalar."""
    return {"momentum": None, "velocity": None, "product": tf.ones([], variable.dtype)}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves by what Adam's mean will be after the same gradient again, over the root of the mean square."""
    momentum = mean(slots["momentum"], gradient, settings["beta_1"])
    velocity = mean(slots["velocity"], tf.square(gradient), settings["beta_2"])
    times = (step.number, step.number + 1.0)
    now, following = (settings["beta_1"] * (1.0 - 0.5 * tf.pow(DECAY, time / EVERY)) for time in times)
    product = slots["product"] * now
    first = following * momentum / (1.0 - product * following) + (1.0 - now) * gradient / (1.0 - product)
    second = velocity / bias_correction(settings["beta_2"], step)
    moved = descend(variable, first / (tf.sqrt(second) + settings["epsilon"]), step)
    return moved, {"momentum": momentum, "velocity": velocity, "product": product}
