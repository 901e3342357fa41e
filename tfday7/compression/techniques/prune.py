"""prune: sets the smallest weights to zero, at once or little by little, and lets the others recover."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting

if TYPE_CHECKING:
    from tfday7.compression.sparsity import Kernel, Pattern

SPARSITY, BLOCK, LARGEST_SIDE = 0.5, "1x4", 1024
# Below this share of all weights the first and the last layer are spared: their zeros cost most and bring least.
SPARED_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class PruneSettings(StepSettings):
    """The settings of a step "prune"."""

    sparsity: float | None = setting(
        None, f"Share of each layer's weights that becomes zero; default {SPARSITY}.", minimum=0, below=1
    )
    schedule: str = setting(
        "polynomial",
        "polynomial: more and more in the first half of fine-tuning; constant: at once. Without epochs, and for 2:4, "
        "at once.",
        choices=("polynomial", "constant"),
    )
    pattern: str = setting(
        "unstructured",
        "What becomes zero: single weights, blocks, or two of each four consecutive inputs.",
        choices=("unstructured", "block", "2:4"),
    )
    block: str | None = setting(None, f"Outputs x inputs of a block; default {BLOCK}.")
    epochs: int = setting(4, "Fine-tuning, in passes over the training data.", minimum=0)
    learning_rate: float | None = setting(None, "Of fine-tuning; default: a share of the run's own.", above=0)
    distil: str = setting("auto", "Whether fine-tuning learns from the model as it was.", choices=("auto", "none"))
    skip: str = setting("", "Layers to leave alone (comma list).")
    depthwise: bool = setting(False, "Prune depthwise kernels, too.")
    spare_ends: bool = setting(
        True, f"Leave the first and the last layer alone where they have under {SPARED_SHARE:.0%} of the weights."
    )


class Prune(Technique):
    """See `compression.sparsity`. The zeros are kept by all later steps (`compression.constraints`)."""

    name = "prune"
    phase = "weights"
    settings = PruneSettings

    def check(self, settings: PruneSettings) -> None:
        """Raises UserError for a block without its pattern, one that is none, and for 2:4 with another share."""
        if settings.block is not None and settings.pattern != "block":
            raise UserError(f"block={settings.block} contradicts pattern={settings.pattern}", "give pattern=block")
        if settings.pattern == "2:4" and settings.sparsity not in (None, SPARSITY):
            raise UserError(f"sparsity={settings.sparsity:g} contradicts pattern=2:4, which is half", "leave it out")
        _block(settings.block or BLOCK)

    def apply(self, work: Work, settings: PruneSettings) -> dict[str, Any]:
        """Zeroes weights of a copy of the model and fine-tunes it.

        Raises:
            UserError: no layer is left to prune, `skip` names an unknown one, or as `finetune`.
        """
        from tfday7.compression import constraints
        from tfday7.compression.finetuning import finetune, validation_metric
        from tfday7.compression.sparsity import Pattern
        from tfday7.models import load

        pattern = Pattern(settings.pattern, _block(settings.block or BLOCK))
        sparsity = SPARSITY if settings.sparsity is None else settings.sparsity
        model = load(work.model)
        chosen = self._chosen(work, model, settings, pattern)
        tuned: dict[str, Any] = {}
        ramps = settings.schedule == "polynomial" and settings.pattern != "2:4" and settings.epochs > 0
        if ramps:
            tuned = self._ramp(work, model, settings, pattern, {each.weight.path: each for each in chosen}, sparsity)
        zeros = {each.weight.path: _zeros(each, pattern, sparsity) for each in chosen}
        kept = constraints.merge(work.kept, zeros)
        constraints.attach(model, kept)
        if not ramps:
            tuned = finetune(
                dataclasses.replace(work, kept=kept),
                model,
                settings.epochs,
                settings.learning_rate,
                settings.distil,
                [constraints.Keeping()],
                self.name,
            )
        constraints.detach(model)
        metric = [round(validation_metric(work, each), 6) for each in (work.model, model)]
        work.model, work.kept = model, kept
        return {
            "sparsity": sparsity,
            "pattern": settings.pattern if settings.pattern != "block" else f"block {settings.block or BLOCK}",
            "schedule": "polynomial" if ramps else "constant",
            "metric": metric,
            **_zeros_record(chosen),
            "finetuning": tuned,
        }

    def _chosen(self, work: Work, model: Any, settings: PruneSettings, pattern: Pattern) -> list[Kernel]:
        """Returns what to prune; the rest is skipped with a reason."""
        from tfday7.compression.sparsity import kernels
        from tfday7.optimizers.table import OPTIMIZERS

        found = kernels(
            model, settings.skip, settings.depthwise, lambda layer, reason: work.skip(self.name, layer, reason)
        )
        total = sum(each.values.size for each in found)
        ends = [found[0], found[-1]] if settings.spare_ends and len(found) > 2 else []
        optimizer = OPTIMIZERS.get(work.optimizer.optimizer)
        chosen = []
        for each in found:
            reason = ""
            if any(each is end for end in ends) and each.values.size < SPARED_SHARE * total:
                place = "first" if each is found[0] else "last"
                reason = f"the {place} layer: few weights, each of which counts; spare_ends=false takes it, too"
            elif not pattern.fits(each.layout):
                reason = f"pattern {pattern.name} needs rows of inputs, and a {each.layout.kind} kernel has none"
            elif each.layout.kind == "table" and optimizer is not None and optimizer.legacy and settings.epochs:
                reason = f"{work.optimizer.optimizer} cannot keep zeros in an embedding"
            if reason:
                work.skip(self.name, each.weight.place, reason)
            else:
                chosen.append(each)
        if not chosen:
            raise UserError("the model has no layer left to prune", "give fewer layers to skip, or another pattern")
        return chosen

    def _ramp(
        self,
        work: Work,
        model: Any,
        settings: PruneSettings,
        pattern: Pattern,
        chosen: Mapping[str, Kernel],
        sparsity: float,
    ) -> dict[str, Any]:
        """Fine-tunes the model while its zeros become more; the epochs after that decide which is best."""
        from tfday7.compression import constraints
        from tfday7.compression.finetuning import finetune
        from tfday7.compression.sparsity import Ramp
        from tfday7.data import pipeline

        steps = pipeline.steps_per_epoch(work.dataset.train, work.training.batch_size)
        last_step = max(1, settings.epochs * steps // 2)
        empty = {path: constraints.Kept() for path in chosen}
        return finetune(
            dataclasses.replace(work, kept=constraints.merge(work.kept, empty)),
            model,
            settings.epochs,
            settings.learning_rate,
            settings.distil,
            [
                constraints.Keeping(),
                Ramp({path: (each.layout, sparsity) for path, each in chosen.items()}, pattern, last_step),
            ],
            self.name,
            best_from=-(-last_step // steps),
        )


def _block(text: str) -> tuple[int, int]:
    """Returns (outputs, inputs) of "1x4"."""
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 1 <= int(side) <= LARGEST_SIDE for side in sides):
        message = f"block={text}: expected outputs x inputs, each from 1 to {LARGEST_SIDE:,}"
        raise UserError(message, f"for example {BLOCK}")
    return int(sides[0]), int(sides[1])


def _zeros(kernel: Kernel, pattern: Pattern, sparsity: float) -> Any:
    from tfday7.compression.constraints import Kept

    shape = tuple(kernel.weight.variable.shape)
    count = 0 if pattern.name == "2:4" else pattern.zero_units(kernel.layout, shape, sparsity)
    return Kept(zeros=~pattern.mask(kernel.weight.variable, kernel.layout, count).numpy())


def _zeros_record(chosen: list[Kernel]) -> dict[str, Any]:
    layers = []
    for each in chosen:
        values = each.values
        zeros = int((values == 0).sum())
        layers.append(
            {
                "weight": each.weight.path,
                "weights": values.size,
                "zeros": zeros,
                "sparsity": round(zeros / values.size, 6),
            }
        )
    return {
        "weights": sum(each.values.size for each in chosen),
        "zeros": sum(int((each.values == 0).sum()) for each in chosen),
        "layers": layers,
    }


TECHNIQUES.add("prune", Prune())
