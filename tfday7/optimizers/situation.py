"""What advice on an optimizer depends on: what was given, what the data and the model say, and what has to be assumed.

A `Situation` is what is known; `case` fills it in. Where each value comes from stays with it, as an assumption weighs
less than a fact.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.optimizers.advice import as_flag

DATA_KINDS = ("image", "text", "tabular", "series", "speech")
MODEL_KINDS = ("cnn", "rnn", "transformer", "mlp", "embedding")
GOALS = ("fast", "accurate", "balanced")
# What is most often trained on such data, for when nothing is said of the model.
USUAL_MODEL = {"image": "cnn", "text": "transformer", "tabular": "mlp", "series": "rnn", "speech": "transformer"}
BATCH_PER_DEVICE = 32  # Masters & Luschi, 2018, arXiv:1804.07612: 32 or less generalizes best, and fits everywhere.
WEIGHT_BYTES = 4  # Weights, gradients and each slot of an optimizer are float32, under mixed precision too.
USABLE_MEMORY = 0.8  # The rest is for activations and the runtime: a rule of thumb, as nothing is known of them.


@dataclasses.dataclass(frozen=True)
class Situation(Settings):
    """What is known of a training task; None is unknown."""

    data_kind: str | None = setting(None, "Kind of the data.", choices=DATA_KINDS)
    model_kind: str | None = setting(
        None, "Kind of the model; default: what is most often trained on such data.", choices=MODEL_KINDS
    )
    parameters: int | None = setting(None, "Number of the model's weights, for example 300000000.", minimum=1)
    batch_size: int | None = setting(
        None, "Examples of one optimizer step, on all devices together; default: 32 a device.", minimum=1
    )
    examples: int | None = setting(None, "Examples in the training split.", minimum=1)
    epochs: int | None = setting(
        None, "Passes over the training split; 0: training goes on for as long as it helps.", minimum=0
    )
    devices: int | None = setting(None, "Devices that train side by side; default: 1.", minimum=1)
    sparse_gradients: bool | None = setting(
        None, "Most gradients are zero in most steps: large vocabularies, one-hot features; default: not known."
    )
    fine_tuning: bool | None = setting(None, "The model comes with trained weights that should last; default: no.")
    device_memory_gb: float | None = setting(None, "Memory of one device in GB, 10^9 bytes; default: enough.", above=0)
    trials: int | None = setting(
        None, "Training runs that tuning may cost; 0: none, the answer is used as it is; default: not decided.",
        minimum=0,
    )  # fmt: skip
    goal: str | None = setting(
        None, "What counts: to be there soon (fast), the last point of quality (accurate), or both.", choices=GOALS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for small, large, why in (
            ("batch_size", "examples", "a step cannot have more examples than there are"),
            ("devices", "batch_size", "every device needs an example in each step"),
        ):
            low, high = getattr(self, small), getattr(self, large)
            if low is not None and high is not None and low > high:
                raise UserError(f"--{small}={low} is more than --{large}={high}", why)

    def known(self) -> Iterator[tuple[str, Any]]:
        """Yields the names and values that are known."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value


@dataclasses.dataclass(frozen=True)
class Case:
    """A situation with its gaps filled in; fields as in `Situation`, None where nothing sound can be assumed.

    Attributes:
        origins: name of each known value -> "given", "found" (in the data or the model) or "assumed".
    """

    data_kind: str | None
    model_kind: str
    parameters: int | None
    batch_size: int
    examples: int | None
    epochs: int | None
    devices: int
    sparse_gradients: bool
    fine_tuning: bool
    device_memory_gb: float | None
    trials: int | None
    goal: str
    origins: Mapping[str, str]

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps of the whole run, None when its length is not known."""
        if self.examples is None or not self.epochs:
            return None
        return math.ceil(self.examples / self.batch_size) * self.epochs

    def training_gb(self, slots: int) -> float:
        """Returns the GB that weights, gradients and an optimizer's slots take on each device.

        Under data parallelism every device holds all of them, so more devices do not help.
        """
        return (self.parameters or 0) * WEIGHT_BYTES * (2 + slots) / 1e9

    def fits(self, slots: int) -> bool:
        """Returns whether training with so many slots a weight fits the device, as far as that is known."""
        if self.device_memory_gb is None:
            return True
        return self.training_gb(slots) <= self.device_memory_gb * USABLE_MEMORY

    def inputs(self) -> dict[str, Any]:
        """Returns the values by name, None for what is not known."""
        return {name: value for name, value in vars(self).items() if name != "origins"}

    def flags(self) -> dict[str, str]:
        """Returns each known value as the flag that gives it, for sentences that name it."""
        return {name: as_flag(name, value) for name, value in self.inputs().items() if value is not None}


def case(given: Situation, found: Situation | None = None) -> Case:
    """Returns the situation with what was found and what can be assumed.

    Args:
        given: what the user says.
        found: what the data and the model themselves say.

    Raises:
        UserError: both know a value and disagree, or neither the model nor the data are known at all.
    """
    values, origins = joined(given, found)
    for name, value in _assumptions(values):
        values[name], origins[name] = value, "assumed"
    Situation(**values)  # What was given may contradict what was found.
    complete: dict[str, Any] = {field.name: values.get(field.name) for field in dataclasses.fields(Situation)}
    return Case(**complete, origins=origins)


def joined(given: Situation, found: Situation | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns what is known by name, and where each comes from. Raises UserError where both know it and disagree."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, origin in ((given, "given"), (found or Situation(), "found")):
        for name, value in source.known():
            if name in values and values[name] != value:
                raise UserError(
                    f"{as_flag(name, values[name])} contradicts the data or the model, for which it is {value}",
                    f"leave --{name} out: it is found there",
                )
            if name not in values:
                values[name], origins[name] = value, origin
    return values, origins


def _assumptions(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if "model_kind" not in values:
        if "data_kind" not in values:
            raise UserError(
                "nothing is known of the task: neither --model_kind nor --data_kind is given",
                "for example --data_kind=text --model_kind=transformer, or --data=digits --model=cnn to look at those",
            )
        yield "model_kind", USUAL_MODEL[values["data_kind"]]
    if "devices" not in values:
        yield "devices", 1
    if "batch_size" not in values:
        batch = BATCH_PER_DEVICE * values["devices"]
        yield "batch_size", min(batch, values.get("examples", batch))
    if "sparse_gradients" not in values:
        yield "sparse_gradients", values["model_kind"] == "embedding"
    if "fine_tuning" not in values:
        yield "fine_tuning", False
    if "goal" not in values:
        yield "goal", "balanced"
