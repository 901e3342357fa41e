"""What a run asks of an optimizer, for both APIs of tf_keras: today's, and the legacy one of TensorFlow Addons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.table import OPTIMIZERS


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Makes the slots of these variables, once."""
    (optimizer._create_all_weights if is_legacy(optimizer) else optimizer.build)(variables)


def variables(optimizer: Any) -> list[Any]:
    """Returns the optimizer's counter and slots, and the loss scale's state if there is one."""
    found = list(optimizer.weights if is_legacy(optimizer) else optimizer.variables)
    if hasattr(optimizer, "dynamic_counter") and not is_legacy(optimizer):  # Kept apart by a LossScaleOptimizer.
        found += [optimizer._loss_scale.current_loss_scale, optimizer._loss_scale.counter]
    return found


def learning_rate(optimizer: Any) -> float:
    """Returns the rate of the last step."""
    rate = optimizer.learning_rate
    if callable(rate):  # A legacy optimizer gives its schedule, and counts the step that comes next.
        rate = rate(max(int(optimizer.iterations.numpy()) - 1, 0))
    return float(rate.numpy() if hasattr(rate, "numpy") else rate)  # A variable of several replicas is no number.


def scale_learning_rate(config: OptimizerConfig, factor: float) -> OptimizerConfig:
    """Returns the settings with the peak rate times a factor."""
    rate = config.learning_rate if config.learning_rate is not None else OPTIMIZERS[config.optimizer].learning_rate
    return dataclasses.replace(config, learning_rate=float(rate) * factor)


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Sets a constant rate, which is part of the optimizer's saved state; a schedule stays as it is."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    held = inner._hyper.get("learning_rate") if is_legacy(inner) else inner._learning_rate
    if hasattr(held, "assign"):
        held.assign(rate)


def is_legacy(optimizer: Any) -> bool:
    """Returns whether an optimizer has the API of before TensorFlow 2.11."""
    return hasattr(optimizer, "_create_all_weights")
