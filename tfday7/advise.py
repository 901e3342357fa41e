"""Ask for advice: which optimizer for a task, or what to do about a model that does not fit, and why.

    python -m tfday7.advise --topic=optimizer --data_kind=text --model_kind=transformer --parameters=300000000
    python -m tfday7.advise --topic=optimizer --data=digits --model=cnn --epochs=30
    python -m tfday7.advise --topic=optimizer --model_kind=cnn --goal=accurate --trials=20 --json --lang=zh
    python -m tfday7.advise --topic=fit --symptom=overfit --data_kind=image --examples=500 --parameters=100000
    python -m tfday7.advise --topic=fit --symptom=underfit --data=digits --model=linear

With --data and --model it loads both and looks for itself; what is given beside must agree. Exit codes: 0 done, 2 a
mistake in the flags or the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfday7.cli import Command, OutputConfig, print_json
from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting, typed_fields
from tfday7.data.config import DataConfig
from tfday7.diagnosis.advising.fit_causes import SYMPTOMS
from tfday7.models.config import ModelConfig
from tfday7.optimizers.situation import Situation


@dataclasses.dataclass(frozen=True)
class AdviceConfig(Settings):
    """What advice is asked for."""

    topic: str | None = setting(None, "What to advise on.", choices=("optimizer", "fit"))
    symptom: str | None = setting(None, "What is wrong, for --topic=fit.", choices=SYMPTOMS)


COMMAND = Command("advise", __doc__, [AdviceConfig, Situation, DataConfig, ModelConfig, OutputConfig])


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
    used = [f"--{name}={value}" for name, value in COMMAND.given(DataConfig, ModelConfig).items() if _is_given(name)]
    record["flags"] = [*used, *record["flags"]]
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


TOPICS: dict[str, Callable[[Situation, DataConfig, ModelConfig, OutputConfig], None]] = {
    "optimizer": optimizer,
    "fit": fit,
}


def _check_topic(topic: str) -> None:
    """Checks that every flag says something about the topic. Raises UserError naming both."""
    from tfday7.diagnosis.advising.fit_advice import INPUTS

    symptom = COMMAND.config(AdviceConfig).symptom
    if topic != "fit":
        if symptom is not None:
            raise UserError(f"--symptom={symptom} says nothing about --topic={topic}", "ask with --topic=fit")
        return
    if symptom is None:
        hint = "for example --topic=fit --symptom=overfit --data_kind=image"
        raise UserError(f"--topic=fit needs --symptom; expected one of {', '.join(SYMPTOMS)}", hint)
    for name, value in COMMAND.given(Situation).items():
        if name not in INPUTS:
            takes = ", ".join(f"--{each}" for each in INPUTS)
            raise UserError(f"--{name}={value} says nothing about --topic=fit", f"it takes {takes}, --data and --model")


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


def _is_given(name: str) -> bool:
    return bool(COMMAND.flags[name].present)


if __name__ == "__main__":
    COMMAND.run(main)
