"""low_rank: large Dense layers and 1x1 convolutions become two small layers each."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting


@dataclasses.dataclass(frozen=True)
class LowRankSettings(StepSettings):
    """The settings of a step "low_rank"."""

    energy: float | None = setting(
        None, "Share of each kernel's squared singular values that stays; default without ratio: 0.9.", above=0, below=1
    )
    ratio: float | None = setting(
        None, "Share of the parameters of all large kernels together that goes, instead of energy.", above=0, below=1
    )
    min_parameters: int = setting(1024, "Kernels with fewer parameters are left alone.", minimum=1)
    wide: bool = setting(False, "Split convolutions with a window larger than 1, too.")
    keep: str = setting("", "Layers to leave alone (comma list).")
    epochs: int = setting(3, "Fine-tuning afterwards, in passes over the training data.", minimum=0)
    learning_rate: float | None = setting(None, "Of fine-tuning, the peak; default: the run's own.", above=0)
    distil: str = setting("auto", "Whether fine-tuning learns from the model as it was.", choices=("auto", "none"))


class LowRank(Technique):
    """See `compression.low_rank`."""

    name = "low_rank"
    phase = "structure"
    settings = LowRankSettings

    def check(self, settings: LowRankSettings) -> None:
        """Raises UserError when both energy and ratio are given."""
        if settings.energy is not None and settings.ratio is not None:
            raise UserError(f"energy={settings.energy:g} contradicts ratio={settings.ratio:g}", "give one of them")

    def apply(self, work: Work, settings: LowRankSettings) -> dict[str, Any]:
        """Splits the layers and fine-tunes."""
        from tfday7.compression import low_rank
        from tfday7.compression.finetuning import finetune

        energy = 0.9 if settings.energy is None and settings.ratio is None else settings.energy
        plan = low_rank.plan(
            work.model,
            energy,
            settings.ratio,
            settings.min_parameters,
            settings.wide,
            [name.strip() for name in settings.keep.split(",") if name.strip()],
            lambda layer, reason: work.skip(self.name, layer, reason),
        )
        model = plan.apply()
        before = work.model.count_params()
        work.say(f"low_rank: {before:,} -> {model.count_params():,} parameters in {len(plan.ranks)} layers")
        tuned = finetune(work, model, settings.epochs, settings.learning_rate, settings.distil, what=self.name)
        work.model = model
        return {"parameters": [before, model.count_params()], "layers": plan.records(), "finetuning": tuned}


TECHNIQUES.add("low_rank", LowRank())
