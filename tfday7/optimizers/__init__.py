"""Optimizers and learning-rate schedules by name, with sound settings."""

from tfday7.optimizers.config import OptimizerConfig

__all__ = ["OptimizerConfig"]
