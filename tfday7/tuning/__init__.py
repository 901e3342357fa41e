"""Search for the optimizer and the hyperparameters that train best, and the range test for the learning rate."""

from tfday7.tuning.config import TuningConfig

__all__ = ["TuningConfig"]
