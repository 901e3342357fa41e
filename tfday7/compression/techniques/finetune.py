"""finetune: trains what is there, for some epochs more."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.settings import setting


@dataclasses.dataclass(frozen=True)
class FinetuneSettings(StepSettings):
    """The settings of a step "finetune"."""

    epochs: int = setting(3, "Passes over the training data.", minimum=1)
    learning_rate: float | None = setting(None, "The peak; default: the run's own.", above=0)
    distil: str = setting(
        "auto", "Whether to learn from the teachers, or the original without any.", choices=("auto", "none")
    )


class Finetune(Technique):
    """See `compression.finetuning`."""

    name = "finetune"
    phase = "training"
    settings = FinetuneSettings

    def apply(self, work: Work, settings: FinetuneSettings) -> dict[str, Any]:
        """Trains a copy of the model; what earlier steps have made of its weights is kept."""
        from tfday7.compression.finetuning import copied, finetune

        model = copied(work.model)
        tuned = finetune(work, model, settings.epochs, settings.learning_rate, settings.distil, what=self.name)
        work.model = model
        return {"finetuning": tuned}


TECHNIQUES.add("finetune", Finetune())
