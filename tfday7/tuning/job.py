"""What a trial repeats: the data, the model and the training, of which it changes some settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.core.settings import Settings
from tfday7.data import DataConfig, Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig
from tfday7.tuning.parameters import Value


@dataclasses.dataclass(frozen=True)
class Job:
    """A training as configured.

    Attributes:
        dataset: its training split trains and its validation split decides; the test split is not touched.
        data: where it comes from, for other processes and the flagfile of the winner.
        model, training: the settings that hold where a trial changes nothing.
        optimizers: likewise, for each optimizer that a trial may take; the first is taken where none is named.
    """

    dataset: Dataset
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    optimizers: Mapping[str, OptimizerConfig]

    def changed(self, values: Mapping[str, Value]) -> tuple[ModelConfig, OptimizerConfig, TrainingConfig]:
        """Returns the settings of a trial; the value of "adam.beta_1" counts when its optimizer is adam.

        Raises:
            UserError: a value that the setting does not take.
        """
        optimizer = self.optimizer(values)
        settings = {name: value for name, value in plain(values, optimizer).items() if name != "optimizer"}
        return (
            _replaced(self.model, settings),
            _replaced(self.optimizers[optimizer], settings),
            _replaced(self.training, settings),
        )

    def flags(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Returns the optimizer and all other settings that are not at their defaults, by the names of their flags."""
        return {**as_flags(self.data, *self.changed(values)), "optimizer": self.optimizer(values)}

    def optimizer(self, values: Mapping[str, Value]) -> str:
        """Returns the name of a trial's optimizer."""
        return str(values.get("optimizer", next(iter(self.optimizers))))


def plain(values: Mapping[str, Value], optimizer: str) -> dict[str, Value]:
    """Returns a trial's values by the names of their flags, without those of other optimizers."""
    parts = ((key.rpartition("."), value) for key, value in values.items())
    return {name: value for (owner, _, name), value in parts if owner in ("", optimizer)}


def _replaced(config: Any, settings: Mapping[str, Value]) -> Any:
    names = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in settings.items() if name in names})


def as_flags(*configs: Settings) -> dict[str, Value]:
    """Returns the settings of configurations that differ from their defaults, by the names of their flags."""
    fields = ((config, field) for config in configs for field in dataclasses.fields(config))
    values = ((field.name, getattr(config, field.name), field.default) for config, field in fields)
    return {name: value for name, value, default in values if value != default and value is not None}
