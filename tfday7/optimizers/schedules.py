"""The learning rate as a function of the step: a linear warm-up, then constant, cosine or linear.

Cosine: Loshchilov & Hutter, 2017, arXiv:1608.03983, without restarts. Importing this module loads TensorFlow.
"""

from __future__ import annotations

import math
from typing import Any

from tfday7.core.frameworks import keras, tf


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to the peak, then follows the named course to 0 at the last step.

    Args:
        name: "constant", "cosine" or "linear".
        peak: the highest rate.
        warmup_steps: steps of the rise; step 0 already takes 1 / warmup_steps of the peak.
        total_steps: optimizer steps of the whole run.
    """

    def __init__(self, name: str, peak: float, warmup_steps: int, total_steps: int) -> None:
        super().__init__()
        self.name = name
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: Any) -> Any:
        """Returns the rate, a float32 scalar, for a step counted from 0."""
        step = tf.cast(step, tf.float32)
        rise = tf.minimum((step + 1.0) / max(self.warmup_steps, 1), 1.0)
        length = max(self.total_steps - self.warmup_steps, 1)
        progress = tf.clip_by_value((step - self.warmup_steps) / length, 0.0, 1.0)
        course = {
            "constant": lambda: tf.ones_like(progress),
            "cosine": lambda: 0.5 * (1.0 + tf.cos(math.pi * progress)),
            "linear": lambda: 1.0 - progress,
        }[self.name]
        return self.peak * rise * course()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
