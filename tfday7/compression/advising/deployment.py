"""What advice on compression depends on: the device, the budget, and what there is to work with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.optimizers.advice import as_flag
from tfday7.optimizers.situation import USUAL_MODEL, Situation, joined

DEVICES = ("microcontroller", "raspberry_pi", "android_cpu", "android_gpu", "android_npu", "x86", "nvidia_gpu", "intel")
REDUCE = ("size", "latency", "both", "memory")
DATA = ("none", "unlabelled", "labelled")
INPUTS = ("model_kind", "data_kind", "parameters", "examples")  # Fields of a `Situation` that count here.
FLOAT_BYTES = 4
KB = 1000


@dataclasses.dataclass(frozen=True)
class Deployment(Settings):
    """Where a model is to run, and what it may be compressed with; None is not said."""

    device: str | None = setting(None, "Where the model is to run, for --topic=compression.", choices=DEVICES)
    reduce: str | None = setting(
        None, "What has to get smaller: the file, the time of a run, both, or memory; default: both.", choices=REDUCE
    )
    max_size_kb: float | None = setting(
        None, "Largest file in kB, 1,000 bytes; needs --parameters or a model.", above=0
    )
    max_accuracy_drop: float | None = setting(
        None, "How much of the metric may be lost, for example 0.01.", minimum=0, maximum=1
    )
    data_available: str | None = setting(
        None, "Examples at hand; default: labelled, as training left them.", choices=DATA
    )
    can_train: bool | None = setting(
        None, "Whether the model can be trained on; default: yes with labelled examples, otherwise no."
    )

    def check(self, looked_at: bool = False) -> None:
        """Checks the values against each other.

        Args:
            looked_at: whether the data can be looked at; they have labels.

        Raises:
            UserError: no device, or values that contradict each other.
        """
        if self.device is None:
            known = ", ".join(DEVICES)
            raise UserError(f"--topic=compression needs --device; expected one of {known}", "for example --device=x86")
        if looked_at and self.data_available not in (None, "labelled"):
            raise UserError(
                f"--data_available={self.data_available} contradicts --data, which has labels", "leave one of them out"
            )
        if self.data_available == "none" and self.can_train:
            raise UserError(
                "--can_train=true contradicts --data_available=none: nothing is trained without examples",
                "say --data_available=unlabelled where there are examples without labels",
            )


@dataclasses.dataclass(frozen=True)
class Case:
    """A deployment with its gaps filled in; fields as in `Deployment` and `Situation`, None where it is not known.

    Attributes:
        origins: name of each known value -> "given", "found" (in the data or the model) or "assumed".
    """

    device: str
    reduce: str
    max_size_kb: float | None
    max_accuracy_drop: float | None
    data_available: str
    can_train: bool
    model_kind: str
    data_kind: str | None
    parameters: int | None
    examples: int | None
    origins: Mapping[str, str]

    @property
    def float_kb(self) -> float | None:
        """The float32 weights in kB; None where their number is not known."""
        return self.parameters * FLOAT_BYTES / KB if self.parameters else None

    def inputs(self) -> dict[str, Any]:
        """Returns the values by name, None for what is not known."""
        return {name: value for name, value in vars(self).items() if name != "origins"}


def case(deployment: Deployment, given: Situation, found: Situation | None = None) -> Case:
    """Returns the deployment with what was found and what can be assumed.

    Args:
        deployment: where the model is to run, and what there is.
        given: what the user knows of the model and its data; `INPUTS` count.
        found: what the data and the model say themselves; data that could be looked at have labels.

    Raises:
        UserError: no device, values that contradict each other, or a budget that cannot be judged.
    """
    deployment.check(looked_at=found is not None)
    known, origins = joined(given, found)
    values: dict[str, Any] = {name: known.get(name) for name in INPUTS}
    origins = {name: origin for name, origin in origins.items() if name in INPUTS}
    deployed = {field.name: getattr(deployment, field.name) for field in dataclasses.fields(deployment)}
    for name, value in deployed.items():
        values[name] = value
        if value is not None:
            origins[name] = "given"
    if found is not None and values["data_available"] is None:
        values["data_available"], origins["data_available"] = "labelled", "found"
    if values["max_size_kb"] is not None and values["parameters"] is None:
        raise UserError(
            f"{as_flag('max_size_kb', values['max_size_kb'])} needs --parameters: what fits depends on the weights",
            "or give --data and --model to look at the model itself",
        )
    usual = USUAL_MODEL.get(values["data_kind"] or "", "cnn")
    labelled = values["data_available"] in (None, "labelled")
    for name, assumed in (
        ("reduce", "both"),
        ("model_kind", usual),
        ("data_available", "labelled"),
        ("can_train", labelled),
    ):
        if values[name] is None:
            values[name], origins[name] = assumed, "assumed"
    return Case(**values, origins=origins)
