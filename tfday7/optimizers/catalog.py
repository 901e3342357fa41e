"""Every optimizer by name, with the learning rate and settings that the field starts from.

Decoupled weight decay (Loshchilov & Hutter, 2019, arXiv:1711.05101) works with all of them and spares biases and
normalization scales, as is usual since ResNet recipes of 2018 (He et al., arXiv:1812.01187, section 3.1).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.frameworks import keras
from tfday7.optimizers.config import OptimizerConfig


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """One optimizer.

    Attributes:
        class_name: its class in `tf_keras.optimizers`.
        learning_rate: the rate to start from.
        settings: arguments that differ from tf_keras's defaults.
    """

    class_name: str
    learning_rate: float
    settings: dict[str, float] = dataclasses.field(default_factory=dict)


OPTIMIZERS: dict[str, OptimizerSpec] = {
    "adadelta": OptimizerSpec("Adadelta", 1.0),  # 1.0 is the paper's own form (arXiv:1212.5701); tf_keras has 0.001.
    "adafactor": OptimizerSpec("Adafactor", 1e-3),
    "adagrad": OptimizerSpec("Adagrad", 1e-2),
    "adam": OptimizerSpec("Adam", 1e-3),
    "adamax": OptimizerSpec("Adamax", 2e-3),
    "adamw": OptimizerSpec("AdamW", 1e-3),
    "ftrl": OptimizerSpec("Ftrl", 1e-2),
    "lion": OptimizerSpec("Lion", 1e-4),
    "nadam": OptimizerSpec("Nadam", 1e-3),
    "rmsprop": OptimizerSpec("RMSprop", 1e-3),
    "sgd": OptimizerSpec("SGD", 1e-2, {"momentum": 0.9}),
}


def check(config: OptimizerConfig) -> OptimizerSpec:
    """Returns the named optimizer's entry. Raises UserError listing the known names if there is none."""
    if config.optimizer not in OPTIMIZERS:
        raise unknown_name("optimizer", config.optimizer, OPTIMIZERS)
    return OPTIMIZERS[config.optimizer]


def build(config: OptimizerConfig, total_steps: int, model: Any) -> Any:
    """Returns a tf_keras optimizer for the model's trainable variables.

    Args:
        config: which optimizer, and its settings.
        total_steps: optimizer steps in the whole run, which the schedule spans.
        model: its vectors (biases, normalization scales) are exempt from weight decay.
    """
    if config.optimizer == "auto" or isinstance(config.learning_rate, str):
        raise UserError(
            "auto is not settled yet", "tfday7.optimizers.advisor.resolve does it, for the data and the model"
        )
    from tfday7.optimizers.schedules import WarmupSchedule

    spec = check(config)
    peak = config.learning_rate if config.learning_rate is not None else spec.learning_rate
    rate: Any = peak
    if config.schedule != "constant" or config.warmup_steps:
        rate = WarmupSchedule(config.schedule, peak, config.warmup_steps, total_steps)
    arguments: dict[str, Any] = dict(spec.settings)
    if config.weight_decay is not None:
        arguments["weight_decay"] = config.weight_decay
    if config.global_clipnorm is not None:
        arguments["global_clipnorm"] = config.global_clipnorm
    optimizer = getattr(keras.optimizers, spec.class_name)(learning_rate=rate, **arguments)
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if v.shape.rank <= 1])
    return optimizer
