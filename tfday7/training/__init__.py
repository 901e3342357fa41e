"""Training: fit, callbacks, objective, precision, checkpoints and resume.

`config` loads no TensorFlow; everything else does when it is used.
"""

from tfday7.training.config import TrainingConfig

__all__ = ["TrainingConfig"]
