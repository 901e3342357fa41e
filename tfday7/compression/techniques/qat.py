"""Quantization-aware training: fine-tunes a model that rounds as its int8 file will (`compression.qat`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.settings import setting

NAME = "qat"
# Of the run's own rate, where earlier steps have trained already: the model is good, and has only to get used to the
# rounding. A ResNet-8 on Fashion-MNIST, shrunk and trained for two epochs, then one with rounding at a rate of 0.003:
# accuracy on validation 0.899 -> 0.887; at a tenth of it 0.905 -> 0.909.
LATER_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Qat(StepSettings):
    """Settings of the step."""

    epochs: int = setting(
        2, "Passes over the training split with rounding; 0 only calibrates the ranges.", minimum=0, maximum=1000
    )
    learning_rate: float | None = setting(
        None, "Peak learning rate; default: the run's own, or a tenth of it where earlier steps have trained.", above=0
    )
    distil: str = setting(
        "auto", "What is learned from: auto is the model as it was given, none the labels alone.",
        choices=("auto", "none"),
    )  # fmt: skip
    skip: str = setting("", "Layers, separated by commas, whose weights are not rounded while training.")
    decay: float = setting(
        0.99, "Share of a range that a training step keeps; the rest comes from its batch.", minimum=0, below=1
    )


class QuantizationAwareTraining(Technique):
    """See the module."""

    name = NAME
    phase = "rounding"
    settings = Qat

    def apply(self, work: Work, settings: Qat) -> dict[str, Any]:
        """See `Technique.apply`. Zeros and clusters of earlier steps stay (`work.kept`)."""
        from tfday7.compression import constraints
        from tfday7.compression.finetuning import finetune, validation_metric
        from tfday7.compression.qat import preparing

        before = validation_metric(work, work.model)
        skip = tuple(name.strip() for name in settings.skip.split(",") if name.strip())
        # Folding a normalization into a Dense layer would give each of its outputs other values than the clusters have.
        clustered = tuple(path.split("/")[-2] for path, kept in work.kept.items() if kept.clusters is not None)
        prepared = preparing.prepared(work.model, work.dataset, skip, clustered, settings.decay)
        model, kept = prepared.model, prepared.kept(work.kept)
        for path in sorted(set(work.kept) - {path for path, _ in kept.values()}):
            work.skip(NAME, path, "its zeros or clusters are not kept: the weight is part of another one now")
        work.kept = {path: each for path, (_, each) in kept.items()}
        constraints.attach(model, work.kept)
        for left in prepared.left:
            work.skip(NAME, left.layer, left.reason)
        calibrated = validation_metric(work, model)
        rate = settings.learning_rate if settings.learning_rate is not None else _usual_rate(work)
        trained = finetune(_in_float32(work), model, settings.epochs, rate, settings.distil, what=NAME)
        work.model = model
        return {
            "metric_before": round(before, 6),
            "metric_calibrated": round(calibrated, 6),
            "metric_after": round(validation_metric(work, model), 6),
            "ranges": "fixed" if prepared.exported else "calibrated",
            "kept": len(work.kept),
            "left": len(prepared.left),
            "training": trained,
        }


def _usual_rate(work: Work) -> float | None:
    """Returns a small part of the run's own rate where earlier steps have trained; else None, for what is usual."""
    from tfday7.compression.finetuning import own_rate

    records = [done.get("finetuning") for done in work.done]
    trained = any(any(one) if isinstance(one, list) else one for one in records)  # {} of a step without epochs.
    return LATER_SHARE * own_rate(work.optimizer) if trained else None


def _in_float32(work: Work) -> Work:
    """Returns the work with training in float32: what is rounded to 8 bits must not be rounded to 16 before."""
    if work.training.precision == "float32":
        return work
    work.notes.append(f"{NAME}: trained in float32 instead of {work.training.precision}")
    return dataclasses.replace(work, training=dataclasses.replace(work.training, precision="float32"))


TECHNIQUES.add(NAME, QuantizationAwareTraining())
