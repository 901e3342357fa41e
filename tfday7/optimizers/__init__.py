"""Optimizers and learning-rate schedules by name, with sound settings, and advice on which to take."""

from tfday7.optimizers.advice import Advice
from tfday7.optimizers.advisor import advise
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.situation import Situation

__all__ = ["Advice", "OptimizerConfig", "Situation", "advise"]
