"""Optimizers that tf_keras lacks, one file each: a rule is a module with two pure functions.

`slots(variable)` names what a variable's rule remembers, with initial values; None stands for zeros of its shape.
`update(gradient, variable, slots, step, settings)` returns the new variable and the new slots, all tensors, and assigns
nothing. So one rule serves one device, replicas and a mesh, where a variable that was assigned and then read in the
same step would give its old value. A rule that keeps averaged weights has `average(variable, slots, settings)` too; one
for the matrices of hidden layers alone names the rule for the `rest`.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from tfday7.optimizers.rules.step import Settings, Slots, Step


class Rule(Protocol):
    """What a module of this folder offers."""

    def slots(self, variable: Any) -> dict[str, Any]:
        """Returns the initial value of each slot; None for zeros of the variable's shape."""

    def update(
        self, gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the new variable and the new slots."""


def find(name: str) -> Rule:
    """Returns the rule in the module of this name. Raises ModuleNotFoundError when there is none."""
    return importlib.import_module(f"{__name__}.{name}")


__all__ = ["Rule", "Settings", "Slots", "Step", "find"]
