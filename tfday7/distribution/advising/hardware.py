"""What advice on distribution depends on: the devices and their links, the batch, the optimizer and the precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.distribution.advising.accelerators import ACCELERATORS, TPU, Accelerator
from tfday7.optimizers.advice import as_flag
from tfday7.optimizers.situation import BATCH_PER_DEVICE, USUAL_MODEL, Situation, joined
from tfday7.optimizers.table import OPTIMIZERS

FLOAT32, MIXED_FLOAT16, MIXED_BFLOAT16 = "float32", "mixed_float16", "mixed_bfloat16"
INPUTS = ("parameters", "batch_size", "devices", "device_memory_gb", "model_kind", "data_kind")  # Of a `Situation`.
SEQUENCE_LENGTH = 512  # BERT's.
UTILIZATION = 0.4  # Megatron reaches 0.44 to 0.52 of an A100's peak (arXiv:2104.04473, table 1), PaLM 0.46.
PER_MACHINE = 8
KINDS = ("sequence_length", "layers", "hidden_size", "attention_heads")  # Only a transformer has all of them.


@dataclasses.dataclass(frozen=True)
class Hardware(Settings):
    """The devices of a run and how it uses them; None is not said."""

    accelerator: str | None = setting(
        None, "Kind of device, for --topic=distribution: its memory, rate and link are known.",
        choices=tuple(ACCELERATORS),
    )  # fmt: skip
    devices_per_machine: int | None = setting(
        None, "Devices in each machine; default: all of them up to the usual number, mostly 8.", minimum=1
    )
    device_tflops: float | None = setting(
        None, "Peak rate of one device in this precision, in 10^12 operations a second; default: the accelerator's.",
        above=0,
    )  # fmt: skip
    link_gb_per_s: float | None = setting(
        None, "GB a second from one device to others of its machine, one direction; default: the accelerator's.",
        above=0,
    )  # fmt: skip
    network_gb_per_s: float | None = setting(
        None, "GB (not Gbit) a second from one machine to another, one direction; default: not known.", above=0
    )
    utilization: float | None = setting(
        None, "Share of the peak rate that training reaches; default: 0.4.", above=0, maximum=1
    )
    optimizer: str | None = setting(None, "Optimizer to train with; default: adam.", choices=tuple(sorted(OPTIMIZERS)))
    precision: str | None = setting(
        None, "Arithmetic of the layers; default: float32.", choices=(FLOAT32, MIXED_FLOAT16, MIXED_BFLOAT16)
    )
    sequence_length: int | None = setting(
        None, "Words or steps of one example; default: 512 for a transformer.", minimum=1
    )
    layers: int | None = setting(None, "Layers of the transformer; default: derived from --parameters.", minimum=1)
    hidden_size: int | None = setting(None, "Width of the transformer; default: derived from --parameters.", minimum=1)
    attention_heads: int | None = setting(
        None, "Heads of each layer of the transformer; default: one for 64 units of the width.", minimum=1
    )

    def check(self) -> None:
        """Checks the values against each other. Raises UserError naming both flags."""
        kind = ACCELERATORS.get(self.accelerator or "")
        for precision, able, instead in (
            (MIXED_BFLOAT16, kind is None or kind.bfloat16, MIXED_FLOAT16),
            (MIXED_FLOAT16, kind is None or kind.float16, MIXED_BFLOAT16),
        ):
            if self.precision == precision and not able:
                raise UserError(
                    f"--precision={precision} contradicts --accelerator={self.accelerator}, which has no fast "
                    f"arithmetic for it",
                    f"use --precision={instead}",
                )


@dataclasses.dataclass(frozen=True)
class Case:
    """The devices and the task with their gaps filled in; fields as in `Hardware` and `Situation`, None for unknown.

    Attributes:
        origins: name of each known value -> "given", "found" (in the data, the model or the table of accelerators) or
            "assumed".
    """

    parameters: int
    batch_size: int
    devices: int
    device_memory_gb: float
    model_kind: str
    data_kind: str | None
    accelerator: str | None
    devices_per_machine: int
    device_tflops: float | None
    link_gb_per_s: float | None
    network_gb_per_s: float | None
    utilization: float
    optimizer: str
    precision: str
    sequence_length: int | None
    layers: int | None
    hidden_size: int | None
    attention_heads: int | None
    origins: Mapping[str, str]

    @property
    def machines(self) -> int:
        """How many machines there are."""
        return self.devices // self.devices_per_machine

    @property
    def half(self) -> bool:
        """Whether the layers compute in 16 bit."""
        return self.precision != FLOAT32

    @property
    def on_tpu(self) -> bool:
        """Whether the devices are TPUs."""
        return self.accelerator is not None and ACCELERATORS[self.accelerator].kind == TPU

    def inputs(self) -> dict[str, Any]:
        """Returns the values by name, None for what is not known."""
        return {name: value for name, value in vars(self).items() if name != "origins"}


def case(devices: Hardware, given: Situation, found: Situation | None = None) -> Case:
    """Returns what was said, what was found, and what can be assumed.

    Args:
        devices: the devices and how they are used.
        given: what the user knows of the task; `INPUTS` count.
        found: what the data and the model say themselves.

    Raises:
        UserError: nothing is known of the model's size or the devices' memory, or values contradict each other.
    """
    devices.check()
    known, known_origins = joined(given, found)
    values: dict[str, Any] = {name: known.get(name) for name in INPUTS}
    origins = {name: origin for name, origin in known_origins.items() if name in INPUTS}
    for field in dataclasses.fields(devices):
        values[field.name] = getattr(devices, field.name)
        if values[field.name] is not None:
            origins[field.name] = "given"
    kind = ACCELERATORS.get(values["accelerator"] or "")
    _check_known(values)
    for source, origin in ((_of_table(kind, values), "found"), (_assumed(kind, values), "assumed")):
        for name, value in source:
            if values[name] is None:
                values[name], origins[name] = value, origin
    _check_together(values)
    return Case(**values, origins=origins)


def _check_known(values: Mapping[str, Any]) -> None:
    if values["parameters"] is None:
        raise UserError(
            "--topic=distribution needs --parameters: memory and time follow from the size of the model",
            "for example --parameters=300000000, or --data and --model to look at the model itself",
        )
    if values["device_memory_gb"] is None and values["accelerator"] is None:
        raise UserError(
            f"--topic=distribution needs --accelerator or --device_memory_gb; accelerators: {', '.join(ACCELERATORS)}",
            "for example --accelerator=a100_80 --devices=8",
        )


def _of_table(kind: Accelerator | None, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if kind is None:
        return
    yield "device_memory_gb", float(kind.memory_gb)
    half = values["precision"] in (MIXED_FLOAT16, MIXED_BFLOAT16)
    yield "device_tflops", float(kind.half_tflops if half else kind.float32_tflops)
    yield "link_gb_per_s", float(kind.link_gb_per_s)


def _assumed(kind: Accelerator | None, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "devices", 1
    devices = values["devices"]
    yield "batch_size", BATCH_PER_DEVICE * devices
    yield "devices_per_machine", min(devices, kind.per_machine if kind else PER_MACHINE)
    yield "utilization", UTILIZATION
    yield "optimizer", "adam"
    yield "precision", FLOAT32
    yield "model_kind", USUAL_MODEL.get(values["data_kind"] or "", "transformer")
    if values["model_kind"] == "transformer":
        yield "sequence_length", SEQUENCE_LENGTH


def _check_together(values: Mapping[str, Any]) -> None:
    named = [name for name in KINDS[1:] if values[name] is not None]
    if named and values["model_kind"] != "transformer":
        raise UserError(
            f"{as_flag(named[0], values[named[0]])} says nothing about --model_kind={values['model_kind']}",
            "layers, hidden size and heads are those of a transformer",
        )
    devices, per_machine = values["devices"], values["devices_per_machine"]
    if per_machine > devices:
        raise UserError(
            f"--devices_per_machine={per_machine} is more than --devices={devices}",
            "--devices counts the devices of all machines together",
        )
    if devices % per_machine:
        raise UserError(
            f"--devices={devices} is not a multiple of --devices_per_machine={per_machine}",
            f"every machine has as many: for example --devices={devices // per_machine * per_machine}",
        )
    if values["network_gb_per_s"] is not None and devices == per_machine:
        raise UserError(
            f"--network_gb_per_s={values['network_gb_per_s']:g} has no meaning for the {devices} devices of one "
            f"machine",
            "give --devices_per_machine if there are several, or leave it out",
        )
    if values["link_gb_per_s"] is not None and per_machine == 1 and devices > 1 and values["accelerator"] is None:
        raise UserError(
            f"--link_gb_per_s={values['link_gb_per_s']:g} contradicts --devices_per_machine=1: nothing is linked",
            "give --network_gb_per_s, which connects machines",
        )
