"""Runs an artefact: one runtime a file, all with the same few methods: who compares or times need not know."""

from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.table import RUNTIMES, default_runtime, find, open_artefact, takes

__all__ = ["RUNTIMES", "Runner", "Tensor", "default_runtime", "find", "open_artefact", "takes"]
