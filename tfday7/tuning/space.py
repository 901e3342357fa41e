"""The space that a search looks through: what was asked for, and for the rest what the advisor would tune.

Each optimizer has its own ranges, around the settings that are advised for it on this data and this model.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, advisor, catalog
from tfday7.optimizers.advice import Advice
from tfday7.optimizers.situation import Situation
from tfday7.training.config import TrainingConfig
from tfday7.tuning.job import Job, as_flags
from tfday7.tuning.parameters import CONFIGS, Parameter, Value, check_values

ENOUGH_FOR_TWO = 20  # Trials with which the runner-up of an optimizer that is left open is tuned too: ten each.


@dataclasses.dataclass(frozen=True)
class Space:
    """What a search looks through.

    Attributes:
        parameters: all hyperparameters; those of one optimizer mean nothing with another.
        first: points to begin with, the advised settings of each optimizer.
    """

    parameters: tuple[Parameter, ...]
    first: tuple[dict[str, Value], ...] = ()

    def active(self, optimizer: str) -> tuple[Parameter, ...]:
        """Returns the parameters that mean something with an optimizer."""
        return tuple(parameter for parameter in self.parameters if parameter.optimizer in ("", optimizer))

    def edges(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Returns which of a point's values lie at a bound: key -> "low" or "high"."""
        sides = {p.key: p.edge(values[p.key]) for p in self.parameters if p.key in values}
        return {key: side for key, side in sides.items() if side}

    def widened(self, values: Mapping[str, Value], most: Mapping[str, float] = types.MappingProxyType({})) -> Space:
        """Returns the space with the ranges at whose bounds a point lies moved beyond them, as far as that is allowed.

        `most` has the highest values of some by name. All other ranges stay as they are; there are no first points. The
        same space where no range can be moved.
        """
        edges = self.edges(values)
        moved = {p.key: p.widened(edges[p.key], most.get(p.name, math.inf)) for p in self.parameters if p.key in edges}
        kept = {key: p for key, p in moved.items() if p.range[0] < p.range[1]}  # type: ignore[operator]
        return Space(tuple(kept.get(p.key, p) for p in self.parameters)) if kept else self


def job_and_space(
    dataset: Dataset,
    configs: tuple[DataConfig, ModelConfig, OptimizerConfig, TrainingConfig],
    tuned: Mapping[str, Parameter | None],
    found: Situation,
) -> tuple[Job, Space]:
    """Returns what the trials repeat, and the space that they are drawn from.

    Args:
        dataset: the data.
        configs: the settings that hold where a trial changes nothing; an "auto" in them is settled for each optimizer.
        tuned: what is to be tuned, from `parameters.parse`; empty leaves it to the advisor.
        found: what the advisor goes by, with the number of trials.

    Raises:
        UserError: a hyperparameter has no range that could be guessed.
    """
    data, model, optimizer, training = configs
    advised = _advised(optimizer, tuned, found)
    alone = len(advised) == 1
    settled = {name: _settled(optimizer, advice, alone) for name, advice in advised.items()}
    job = Job(dataset, data, model, training, settled)
    choice = Parameter("optimizer", tuple(advised), "choice")
    parameters = [choice] if len(advised) > 1 else []
    given = _given(configs[1:])
    for name in [name for name in tuned if name != "optimizer"] or _names(advised):
        asked = tuned.get(name)  # A range that was asked for stays as it is.
        found_here = _parameters(name, asked, job, advised)
        parameters += found_here if asked else [_holding(each, given.get(name)) for each in found_here]
    for parameter in parameters:
        check_values(parameter)
    space = Space(tuple(parameters))
    return job, dataclasses.replace(space, first=tuple(_start(space, job, advice) for advice in advised.values()))


def _advised(optimizer: OptimizerConfig, tuned: Mapping[str, Parameter | None], found: Situation) -> dict[str, Advice]:
    """Returns the advice for each optimizer of the search, the one to begin with first."""
    given = tuned.get("optimizer")
    if given is not None:
        names = tuple(str(value) for value in given.range)
    elif "optimizer" in tuned or optimizer.optimizer == advisor.AUTO:
        natural = advisor.advise(found)
        both = "optimizer" in tuned or (not tuned and (found.trials or 0) >= ENOUGH_FOR_TWO)
        names = (natural.optimizer, natural.runner_up) if both else (natural.optimizer,)
    else:
        names = (optimizer.optimizer,)
    if any(parameter is None for name, parameter in tuned.items() if name != "optimizer"):
        found = dataclasses.replace(found, trials=None)  # What is named is tuned, however few trials there are.
    return {name: advisor.advise(found, optimizer=name) for name in names}


def _settled(optimizer: OptimizerConfig, advice: Advice, alone: bool) -> OptimizerConfig:
    """Returns the settings with an optimizer.

    Of one that was named, the rate alone is as advised where it was left open. Where the optimizer was left open, or
    several are compared, everything is that was left at its default: all of them alike.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(optimizer)}
    if alone and optimizer.optimizer == advice.optimizer:
        names = ["learning_rate"] if optimizer.learning_rate in (None, advisor.AUTO) else []
    else:
        names = [name for name in advice.settings if name in defaults]
    open_names = [name for name in names if getattr(optimizer, name) in (defaults[name], advisor.AUTO)]
    settings: dict[str, Any] = {name: advice.settings[name] for name in open_names}
    return dataclasses.replace(optimizer, optimizer=advice.optimizer, **settings)


def _names(advised: Mapping[str, Advice]) -> list[str]:
    known = {field.name for config in CONFIGS for field in dataclasses.fields(config)}
    names = [tunable.name for advice in advised.values() for tunable in advice.tune]
    return list(dict.fromkeys(name for name in names if name in known))


def _given(configs: tuple[Any, ...]) -> dict[str, Value]:
    """Returns the numbers that the user has set, by the names of their flags."""
    return {name: value for name, value in as_flags(*configs).items() if isinstance(value, (int, float))}


def _holding(parameter: Parameter, value: Any) -> Parameter:
    """Returns the parameter with a range that holds what the user has set."""
    if value is None or isinstance(value, bool):
        return parameter
    if parameter.scale == "choice":
        choices = parameter.range if value in parameter.range else (*parameter.range, value)
        return dataclasses.replace(parameter, range=choices)
    if parameter.scale == "log" and value <= 0:
        return parameter
    low, high = map(float, parameter.range)
    ends = (min(low, value), max(high, value))
    return dataclasses.replace(parameter, range=tuple(round(end) for end in ends) if parameter.integer else ends)


def _owned(parameter: Parameter, job: Job) -> list[Parameter]:
    """Returns a parameter for each optimizer that takes it.

    Raises:
        UserError: none of them does.
    """
    if parameter.name not in (*catalog.TUNED, *catalog.COMMON):
        return [parameter]
    takers = [name for name in job.optimizers if parameter.name in catalog.OPTIMIZERS[name].takes]
    if not takers:
        named = ", ".join(f"--optimizer={name}" for name in job.optimizers)
        raise UserError(
            f"--tune={parameter.name} has no meaning for {named}", "leave it out, or tune another optimizer"
        )
    if len(takers) == len(job.optimizers):
        return [parameter]
    return [dataclasses.replace(parameter, optimizer=name) for name in takers]


def _parameters(name: str, given: Parameter | None, job: Job, advised: Mapping[str, Advice]) -> list[Parameter]:
    if given is not None:
        return _owned(given, job)
    found = []
    for optimizer, advice in advised.items():
        tunable = next((tunable for tunable in advice.tune if tunable.name == name), None)
        if tunable is not None:
            integer = tunable.scale != "choice" and all(isinstance(end, int) for end in tunable.range)
            owner = optimizer if len(advised) > 1 else ""
            found.append(Parameter(name, tunable.range, tunable.scale, owner, integer))
    return found or _owned(_usual(name, job), job)


def _usual(name: str, job: Job) -> Parameter:
    """Returns the range that is usual for a flag which no advice is on."""
    batch, examples = job.training.batch_size, len(job.dataset.train)
    known = job.model.model in ARCHITECTURES.names()
    width = job.model.width or (ARCHITECTURES.get(job.model.model).width if known else 0)
    depth = job.model.depth or (ARCHITECTURES.get(job.model.model).depth if known else 0)
    usual: dict[str, tuple[tuple[Value, ...], str]] = {
        "batch_size": (tuple(size for size in (batch // 2, batch, 2 * batch) if 1 <= size <= examples), "choice"),
        "dropout": ((0.0, 0.5), "linear"),
        "l2": ((1e-6, 1e-2), "log"),
        "label_smoothing": ((0.0, 0.2), "linear"),
        "schedule": (("constant", "cosine", "linear"), "choice"),
        "weight_decay": ((1e-4, 1e-1), "log"),
        "global_clipnorm": ((0.1, 10.0), "log"),
    }
    if known:
        usual["width"] = ((max(1, width // 2), width, 2 * width), "choice")
        usual["depth"] = ((depth, depth + 1), "choice")
    if name not in usual:
        raise UserError(
            f"--tune={name}: there is no usual range for it here", f"give one, for example --tune={name}=LOW..HIGH"
        )
    return Parameter(name, *usual[name])


def _start(space: Space, job: Job, advice: Advice) -> dict[str, Value]:
    """Returns the point of a space that lies nearest to the advised settings of an optimizer, and its own defaults."""
    config = job.optimizers[advice.optimizer]
    own = catalog.OPTIMIZERS[advice.optimizer].settings  # What the config leaves at None.
    wanted = {**vars(job.model), **vars(job.training), **vars(config), **own, **advice.settings}
    wanted |= _given((job.model, config, job.training))  # What was set counts for more than advice.
    wanted["optimizer"] = advice.optimizer
    return {p.key: nearest(p, wanted.get(p.name)) for p in space.active(advice.optimizer)}


def nearest(parameter: Parameter, wanted: Any) -> Value:
    """Returns the value of a range that is nearest to the wanted one; its middle where there is none."""
    if parameter.scale == "choice":
        return wanted if wanted in parameter.range else parameter.range[len(parameter.range) // 2]
    if not isinstance(wanted, (int, float)):
        return parameter.at(0.5)
    low, high = map(float, parameter.range)
    value = min(max(float(wanted), low), high)
    return round(value) if parameter.integer else value
