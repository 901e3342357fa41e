"""Ask for advice: which optimizer, why a model does not fit, how to compress it, how to spread its training, and why.

    python -m tfday7.advise --topic=optimizer --data_kind=text --model_kind=transformer --parameters=300000000
    python -m tfday7.advise --topic=optimizer --data=digits --model=cnn --epochs=30
    python -m tfday7.advise --topic=optimizer --model_kind=cnn --goal=accurate --trials=20 --json --lang=zh
    python -m tfday7.advise --topic=fit --symptom=overfit --data_kind=image --examples=500 --parameters=100000
    python -m tfday7.advise --topic=fit --symptom=underfit --data=digits --model=linear
    python -m tfday7.advise --topic=compression --device=raspberry_pi --model_kind=cnn --data_available=labelled
    python -m tfday7.advise --topic=compression --device=microcontroller --parameters=80000 --max_size_kb=40
    python -m tfday7.advise --topic=distribution --parameters=7000000000 --accelerator=a100_80 --devices=8
    python -m tfday7.advise --topic=distribution --data=digits --model=cnn --devices=4 --device_memory_gb=16

With --data and --model it loads both and looks for itself; what is given beside must agree. Exit codes: 0 done, 2 a
mistake in the flags or the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfday7.cli import Command, OutputConfig, print_json
from tfday7.compression.advising.deployment import INPUTS as COMPRESSION_INPUTS
from tfday7.compression.advising.deployment import Deployment
from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting, typed_fields
from tfday7.data.config import DataConfig
from tfday7.diagnosis.advising.fit_causes import SYMPTOMS
from tfday7.distribution.advising.hardware import INPUTS as DISTRIBUTION_INPUTS
from tfday7.distribution.advising.hardware import Hardware
from tfday7.models.config import ModelConfig
from tfday7.optimizers.situation import Situation

if TYPE_CHECKING:
    from tfday7.distribution.advising.measuring import Measured


@dataclasses.dataclass(frozen=True)
class AdviceConfig(Settings):
    """What advice is asked for."""

    topic: str | None = setting(None, "What to advise on.", choices=("optimizer", "fit", "compression", "distribution"))
    symptom: str | None = setting(None, "What is wrong, for --topic=fit.", choices=SYMPTOMS)


GROUPS = (AdviceConfig, Situation, Deployment, Hardware)  # What a topic may take or not.
COMMAND = Command("advise", __doc__, [*GROUPS, DataConfig, ModelConfig, OutputConfig])


def main() -> None:
    """Checks the flags, asks the topic's advisor, and shows the answer."""
    topic, output = COMMAND.config(AdviceConfig).topic, COMMAND.config(OutputConfig)
    if topic is None:
        raise UserError(f"--topic is missing; expected one of {', '.join(TOPICS)}", "for example --topic=optimizer")
    given, data, model = COMMAND.config(Situation), COMMAND.config(DataConfig), COMMAND.config(ModelConfig)
    _check_topic(topic)
    _check(data, model)
    if COMMAND.flags.only_check_args:
        return
    TOPICS[topic](given, data, model, output)


def optimizer(given: Situation, data: DataConfig, model: ModelConfig, output: OutputConfig) -> None:
    """Advises on the optimizer."""
    from tfday7.optimizers import advise
    from tfday7.reporting import optimizer_advice

    record = advise(given, _look(data, model) if _is_given("data") else None).to_json(output.lang)
    record["flags"] = [*_used(), *record["flags"]]
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(optimizer_advice(record, output.lang))


def fit(given: Situation, data: DataConfig, model: ModelConfig, output: OutputConfig) -> None:
    """Explains what makes a model not fit, and what helps."""
    from tfday7.diagnosis.advising import fit_advice
    from tfday7.reporting import fit_advice as drawn

    symptom = COMMAND.config(AdviceConfig).symptom or ""
    found = _look(data, model) if _is_given("data") else None
    flags = COMMAND.given(ModelConfig) if _is_given("model") else None
    record = fit_advice.advise(symptom, given, found, flags).to_json(output.lang)
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(drawn(record, output.lang))


def compression(given: Situation, data: DataConfig, model: ModelConfig, output: OutputConfig) -> None:
    """Advises on compression techniques for a device."""
    from tfday7.compression.advising.advice import advise
    from tfday7.reporting import compression_advice

    found = _look(data, model) if _is_given("data") else None
    record = advise(COMMAND.config(Deployment), given, found, _subject(model)).to_json(output.lang)
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(compression_advice(record, output.lang))


def distribution(given: Situation, data: DataConfig, model: ModelConfig, output: OutputConfig) -> None:
    """Advises on how to spread training over devices."""
    from tfday7.distribution.advising.advice import advise
    from tfday7.reporting import distribution_advice

    devices = COMMAND.config(Hardware)
    found = measured = None
    if _is_given("data"):
        found, measured = _measured(data, model, devices) if _is_given("model") else (_look(data, model), None)
    record = advise(devices, given, found, measured).to_json(output.lang)
    if record["flags"]:
        record["flags"] = [*_used(), *record["flags"]]
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(distribution_advice(record, output.lang))


TOPICS: dict[str, Callable[[Situation, DataConfig, ModelConfig, OutputConfig], None]] = {
    "optimizer": optimizer,
    "fit": fit,
    "compression": compression,
    "distribution": distribution,
}


def _takes() -> dict[str, tuple[str, ...]]:
    """Returns the flags that say something about each topic, beside those of data, model and output."""
    from tfday7.diagnosis.advising.fit_advice import INPUTS

    groups = (Situation, Deployment, Hardware)
    situation, deployment, devices = ([field.name for field, _, _ in typed_fields(kind)] for kind in groups)
    return {
        "optimizer": tuple(situation),
        "fit": ("symptom", *INPUTS),
        "compression": (*deployment, *COMPRESSION_INPUTS),
        "distribution": (*devices, *DISTRIBUTION_INPUTS),
    }


def _check_topic(topic: str) -> None:
    """Checks that every flag says something about the topic. Raises UserError naming both."""
    takes = _takes()
    for name, value in COMMAND.given(*GROUPS).items():
        if name == "topic" or name in takes[topic]:
            continue
        others = [other for other, names in takes.items() if name in names]
        hint = f"it takes {', '.join(f'--{each}' for each in takes[topic])}, --data and --model"
        if topic == "optimizer":
            hint = f"ask with --topic={others[0]}"
        raise UserError(f"--{name}={value} says nothing about --topic={topic}", hint)
    if topic == "fit" and COMMAND.config(AdviceConfig).symptom is None:
        hint = "for example --topic=fit --symptom=overfit --data_kind=image"
        raise UserError(f"--topic=fit needs --symptom; expected one of {', '.join(SYMPTOMS)}", hint)
    if topic == "compression":
        COMMAND.config(Deployment).check(looked_at=_is_given("data"))
    if topic == "distribution":
        COMMAND.config(Hardware).check()


def _check(data: DataConfig, model: ModelConfig) -> None:
    """Checks the names of the data and the model, if given, without loading them. Raises UserError."""
    from tfday7.data.source import find_source
    from tfday7.models import building

    for group, name in ((DataConfig, "data"), (ModelConfig, "model")):
        settings = [field.name for field, _, _ in typed_fields(group) if _is_given(field.name)]
        if settings and name not in settings:
            raise UserError(f"--{settings[0]} needs --{name}", f"it says how to read or build what --{name} names")
    if _is_given("model") and not _is_given("data"):
        raise UserError("--model needs --data", "a model is built for its data, for example --data=digits --model=cnn")
    if _is_given("data"):
        find_source(data)
    if _is_given("model"):
        building.check_name(model)


def _look(data: DataConfig, model: ModelConfig) -> Situation:
    """Loads the data, builds the model if one is named, and returns what they say of themselves."""
    from tfday7 import data as library
    from tfday7.models import building
    from tfday7.optimizers import inspection

    dataset = library.load(data)
    if not _is_given("model"):
        return inspection.inspect(dataset)
    known: dict[str, Any] = {"fine_tuning": True} if building.brings_weights(model) else {}
    return inspection.inspect(dataset, building.build(model, dataset.problem), **known)


def _measured(data: DataConfig, model: ModelConfig, devices: Hardware) -> tuple[Situation, Measured]:
    """Loads the data, builds the model in the precision asked for, and returns what both say of themselves."""
    from tfday7 import data as library
    from tfday7.distribution.advising import measuring
    from tfday7.models import building
    from tfday7.optimizers import inspection

    problem = (dataset := library.load(data)).problem
    built = building.build(model, problem, devices.precision or "float32")
    return inspection.inspect(dataset, built), measuring.measure(built, measuring.sizes_of(model, problem))


def _used() -> list[str]:
    """Returns the flags that name the data and the model."""
    return [f"--{name}={value}" for name, value in COMMAND.given(DataConfig, ModelConfig).items() if _is_given(name)]


def _subject(model: ModelConfig) -> tuple[str, ...]:
    """Returns the flags by which `tfday7.compress` finds the model that was looked at, or a place to fill in."""
    from tfday7.compression.advising.advice import RUN
    from tfday7.models.building import is_file

    if not (_is_given("model") and is_file(model.model)):
        return RUN
    named = (f"--{name}={value}" for name, value in COMMAND.given(DataConfig).items() if _is_given(name))
    return (f"--model={model.model}", *named)


def _is_given(name: str) -> bool:
    return bool(COMMAND.flags[name].present)


if __name__ == "__main__":
    COMMAND.run(main)
