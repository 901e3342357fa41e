"""What the candidates of a compression are for: the device that times them, and the runtime that they are files of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfday7.benchmarking import devices
from tfday7.compression.config import RUNTIMES, BudgetConfig
from tfday7.compression.recipe import Recipe
from tfday7.core.errors import UserError, unknown_name
from tfday7.deploying.config import DeployConfig

Say = Callable[[str], Any]
HERE = ("cpu", devices.WITHOUT_AMX)  # Where this machine times files.


def check_device(budget: BudgetConfig) -> None:
    """Raises UserError for a device that cannot be one; looks at none."""
    if budget.is_remote:
        return _device(budget).check_ssh()
    if budget.device not in HERE:
        raise unknown_name("device", budget.device, HERE, "ssh://[user@]host[:port]")
    for name in ("python", "ssh_config"):
        if getattr(budget, name) != getattr(BudgetConfig(), name):
            raise UserError(
                f"--{name}={getattr(budget, name)} contradicts --device={budget.device}", "it is for ssh://... alone"
            )


def check_runtime(budget: BudgetConfig, recipes: Sequence[Recipe] = ()) -> None:
    """Raises UserError for a runtime that is not installed, or that the device or a recipe cannot have."""
    from tfday7.exporting.format import FORMATS

    format = FORMATS.get(RUNTIMES[budget.runtime])
    format.check_installed()
    if format.name == "tflite":
        return
    given = f"--runtime={budget.runtime}"
    if budget.is_remote:
        raise UserError(
            f"{given} contradicts --device={budget.device}, where .tflite files run", "leave one of them out"
        )
    for recipe in recipes:
        if recipe.kind not in format.kinds:
            message = f"{given}: recipe {recipe.name} asks for {recipe.kind}, which its format has not"
            raise UserError(message, f"it has {', '.join(format.kinds)}")
        for step in recipe.steps:
            if step.technique.name == "qat":
                message = f"{given}: recipe {recipe.name} has qat, whose ranges only .tflite files keep"
                raise UserError(message, "leave the step out: int8 files of other formats are calibrated")
            if getattr(step.settings, "fallback", "none") != "none" or getattr(step.settings, "float_layers", ""):
                message = f"{given}: recipe {recipe.name} leaves layers in float32, as only .tflite files do"
                raise UserError(message, "leave fallback and float_layers out")


def check_reached(budget: BudgetConfig) -> None:
    """Raises UserError where files are to be timed on a device that cannot be reached, or does not run them."""
    if budget.is_remote:
        timer_on(budget)


def timer_on(budget: BudgetConfig, say: Say = lambda sentence: None) -> Any:
    """Returns what times files on the device, which ssh reaches. Raises UserError where it does not."""
    from tfday7.deploying.timing import RemoteTimer

    timer = RemoteTimer(_device(budget), say)
    timer.check()
    return timer


def _device(budget: BudgetConfig) -> DeployConfig:
    return DeployConfig(device=budget.device, python=budget.python, ssh_config=budget.ssh_config)
