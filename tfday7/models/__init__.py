"""Architectures, and the Keras 3 door: what comes in becomes a tf_keras model, what goes out opens in plain Keras 3."""

from tfday7.models.config import ModelConfig
from tfday7.models.door import load, register, save, to_keras3

__all__ = ["ModelConfig", "load", "register", "save", "to_keras3"]
