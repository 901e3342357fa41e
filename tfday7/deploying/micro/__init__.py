"""A bundle for microcontrollers: the model as a C array, and what TFLite Micro needs to run it."""

from tfday7.deploying.micro.deploying import deploy

__all__ = ["deploy"]
