"""What a technique is: a name, settings, its place among others, and what it does to a model on its way."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfday7.core.errors import UserError
from tfday7.core.registry import Registry
from tfday7.core.settings import Settings, typed_fields
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

if TYPE_CHECKING:
    from tfday7.data.dataset import Dataset

Say = Callable[[str], Any]
TECHNIQUES: Registry[Technique] = Registry("compression technique", "tfday7.compression.techniques")
# In the order in which the kinds of a recipe's steps may follow each other. "training" may stand anywhere before the
# last. Removing channels after zeros or clusters are set would lose them, and nothing follows the numbers of the file.
PHASES = ("structure", "weights", "rounding", "numbers")


@dataclasses.dataclass(frozen=True)
class StepSettings(Settings):
    """Base of the settings of a step. They are no flags: a step's `epochs` says nothing of a run's."""


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A layer that a technique left as it is, and why."""

    technique: str
    layer: str
    reason: str


@dataclasses.dataclass
class Work:
    """A model on its way through the steps of a recipe.

    Attributes:
        model: a float32 tf_keras functional model with one input and one output; after "qat" one with fake
            quantization inside. A step never changes the model that it is given; it puts another one here.
        original: the model as it was given.
        dataset: training examples train and calibrate, validation examples decide. `test` is not looked at.
        optimizer, training: of fine-tuning, where a step does not say otherwise: batch size, precision, seed.
        teachers: models whose mean answer is to be learned; the original one where none is given.
        distil: whether fine-tuning learns from a teacher where a step says "auto".
        folder: for the checkpoints of trainings; a training of the same weights goes on after an interruption, and is
            done once for all works that have this folder (`finetuning`). None writes nothing.
        say: told in a sentence what is being done.
        kept: what later steps must keep: by a weight's path, "layer name/weight name", the structure of its values
            (`constraints`).
        numbers: how the file's numbers are chosen: the settings of the step "quantize"; None for float32.
        skipped: what was left alone, and why.
        notes: what its user has to know.
        step: the step in work, as its recipe has it.
        done: a record of each step that was carried out, JSON values.
        allow_unsafe: whether files of teachers may bring code (`models.load`).
    """

    model: Any
    original: Any
    dataset: Dataset
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    teachers: tuple[Any, ...] = ()
    distil: bool = True
    folder: Path | None = None
    say: Say = lambda sentence: None
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)
    numbers: Any = None
    skipped: list[Skipped] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    step: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    done: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    allow_unsafe: bool = False

    def skip(self, technique: str, layer: str, reason: str) -> None:
        """Records that a layer was left alone."""
        self.skipped.append(Skipped(technique, layer, reason))


class Technique(abc.ABC):
    """One technique. `settings` are those of its step in a recipe; `phase` is one of `PHASES`, or "training"."""

    name: ClassVar[str]
    phase: ClassVar[str]
    settings: ClassVar[type[StepSettings]]

    @abc.abstractmethod
    def apply(self, work: Work, settings: Any) -> dict[str, Any]:
        """Changes the work; returns what was done, as JSON values.

        Raises:
            UserError: the model or the data do not take it.
            Interrupted: a signal; a checkpoint has been written.
        """

    def check(self, settings: Any) -> None:  # noqa: B027 - most have nothing that contradicts.
        """Checks settings against each other, without loading TensorFlow. Raises UserError."""


def read_settings(technique: Technique, given: Mapping[str, Any]) -> StepSettings:
    """Returns a step's settings from JSON values. Raises UserError for an unknown one or a value out of range."""
    known = {field.name for field, _, _ in typed_fields(technique.settings)}
    for name in given:
        if name not in known:
            raise UserError(f"{technique.name} has no setting {name!r}", f"it has {', '.join(sorted(known))}")
    settings = technique.settings(**given)
    technique.check(settings)
    return settings
