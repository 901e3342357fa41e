"""Quantization-aware training: fine-tunes a model that rounds as its int8 file will (`compression.qat`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.settings import setting

NAME = "qat"


@dataclasses.dataclass(frozen=True)
class Qat(StepSettings):
    """Settings of the step."""

    epochs: int = setting(
        2, "Passes over the training split with rounding; 0 only calibrates the ranges.", minimum=0, maximum=1000
    )
    learning_rate: float | None = setting(
        None, "Peak learning rate; without it a share of the run's own, as every fine-tuning.", above=0
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
        trained = finetune(
            _in_float32(work), model, settings.epochs, settings.learning_rate, settings.distil, what=NAME
        )
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


def _in_float32(work: Work) -> Work:
    """Returns the work with training in float32: what is rounded to 8 bits must not be rounded to 16 before."""
    if work.training.precision == "float32":
        return work
    work.notes.append(f"{NAME}: trained in float32 instead of {work.training.precision}")
    return dataclasses.replace(work, training=dataclasses.replace(work.training, precision="float32"))


TECHNIQUES.add(NAME, QuantizationAwareTraining())
