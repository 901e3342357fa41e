"""Runs whose answer is known by construction: at least one for every check.

Each is a healthy run of which one thing was changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.health import DataHealth, Health, LayerProbe, Probe, References

EPOCHS = np.arange(30)
FALLING = 0.1 + 2 * np.exp(-EPOCHS / 3)
RISING = np.concatenate([FALLING[:15], FALLING[15] * np.linspace(1.0, 2.0, 15)])
EXPLODING = np.concatenate([FALLING[:15], FALLING[15] * np.linspace(1.0, 6.0, 15)])
SWINGING = np.array([2.0, *[1.3, 0.7] * 14, 1.3])
GOOD = {"train_score": 0.97, "validation_score": 0.96, "baseline": 0.1, "validation_examples": 300}
POOR = {"train_score": 0.4, "validation_score": 0.4}
GUESSING = {"train_score": 0.1, "validation_score": 0.1}

INPUT = LayerProbe("input", "Input", "", 0.0, 1.0)
HIDDEN = LayerProbe("hidden", "Dense", "relu", 0.3, 0.5, None, 0.02, None, 0.7, 0.01, 0.1, None, None)
NORM = LayerProbe("norm", "BatchNormalization", "", 0.0, 1.0, statistics_gap=0.1)
WIDE = dataclasses.replace(HIDDEN, name="wide")
OUT = LayerProbe("logits", "Dense", "", 0.0, 1.0, gradient=0.05, weight=0.1)
DATA = DataHealth((70,) * 10, 0.0, 0.5, 0.02)
REFERENCES = References(0.1, 0.9, 0.95)


def run(loss: np.ndarray = FALLING, val_loss: np.ndarray | None = None, **values: Any) -> Evidence:
    """Returns the evidence of a healthy run, or of what is changed of it; it has curves and scores only."""
    return Evidence(loss, loss * 1.1 if val_loss is None else val_loss, **{**GOOD, **values})


def probed(
    layers: tuple[LayerProbe, ...] = (INPUT, HIDDEN, NORM, WIDE, OUT),
    before: tuple[LayerProbe, ...] | None = None,
    data: DataHealth = DATA,
    references: References = REFERENCES,
    first_loss: float = 2.4,
    probe: dict[str, Any] | None = None,
    change: float = 0.1,
    **values: Any,
) -> Evidence:
    """Returns the evidence of a healthy run of which everything was measured, or of what is changed of it."""
    after = tuple(
        dataclasses.replace(layer, change=change) if layer.gradient is not None else layer for layer in layers
    )
    probes = (Probe(0, first_loss, before or layers), Probe(30, 0.1, after, **(probe or {})))
    return run(health=Health(data, references, probes), **values)


def changed(layer: LayerProbe, **values: Any) -> tuple[LayerProbe, ...]:
    """Returns the healthy layers with another hidden one."""
    return (INPUT, dataclasses.replace(layer, **values), NORM, WIDE, OUT)


ZERO = tuple(dataclasses.replace(layer, weight=0.0) if layer.weight else layer for layer in (INPUT, HIDDEN, WIDE, OUT))
STILL = (*(dataclasses.replace(layer, gradient=None) for layer in (INPUT, HIDDEN, WIDE)), OUT)
FEW_NUMBERS = DataHealth(duplicates=0.0, shift=0.5, shift_error=0.02, distinct_targets=10, whole_targets=True)
R2 = {"metric": "r2_score", "task": "regression", "baseline": 0.0}
UNEVEN = dataclasses.replace(DATA, class_counts=(1900, 100))
WEIGHED: dict[str, Any] = {
    "train_score": 0.94, "validation_score": 0.93, "baseline": 0.95, "flags": {"class_weights": "balanced"},
}  # fmt: skip
RARE = dataclasses.replace(DATA, class_counts=(630,) + (7,) * 9)

# Name -> evidence, verdict, ids of all findings.
RUNS: dict[str, tuple[Evidence, str, list[str]]] = {
    "good": (run(), "good_fit", []),
    "good and measured": (probed(), "good_fit", []),
    "nan": (run(np.where(EPOCHS > 7, np.nan, FALLING), stopped="nan"), "broken", ["diverged"]),
    "guessing": (run(**GUESSING), "broken", ["not_learning"]),
    "memorizing": (run(val_loss=RISING), "overfit", ["overfit"]),
    "gap": (run(train_score=1.0, validation_score=0.8), "overfit", ["gap"]),
    "both": (run(val_loss=RISING, train_score=1.0, validation_score=0.7), "overfit", ["gap", "overfit"]),
    "poor": (run(**POOR, flags={"dropout": "0.5", "optimizer": "sgd"}), "underfit", ["underfit"]),
    "poor and still improving": (
        run(np.geomspace(2.0, 0.5, 30), **POOR, flags={"l2": "0.1", "optimizer": "sgd"}), "underfit", ["unfinished"],
    ),
    "behind a linear model": (probed(train_score=0.7, validation_score=0.7), "underfit", ["underfit"]),
    "as good as its labels allow": (
        probed(references=References(0.1, 0.9, 0.95, ceiling=0.42), **POOR), "good_fit", [],
    ),
    "as good as can be": (probed(references=References(0.1, 0.42, 0.41), **POOR), "good_fit", []),
    "exploding": (run(EXPLODING), "unstable", ["unstable"]),
    "exploding and poor": (run(EXPLODING, **POOR), "unstable", ["unstable", "underfit"]),
    "swinging and poor": (
        run(SWINGING, **POOR, flags={"momentum": "0.99", "batch_size": "8", "optimizer": "sgd"}),
        "unstable",
        ["oscillating", "underfit"],
    ),
    "swinging, yet good": (run(SWINGING), "good_fit", []),
    "short": (run(FALLING[:4]), "undetermined", []),
    "unmeasured": (run(train_score=None, validation_score=None), "undetermined", []),
    "poor r2": (run(**{**R2, "train_score": 0.3}), "underfit", ["underfit"]),
    "no r2": (run(**{**R2, "train_score": -4.0, "validation_score": -5.0}), "broken", ["not_learning"]),
    "zeros": (
        probed(ZERO, **GUESSING, change=0.05),
        "broken",
        ["zero_weights", "not_learning"],
    ),
    "wild start": (probed(first_loss=500.0, **GUESSING), "broken", ["initialization", "not_learning"]),
    "wild start overcome": (probed(first_loss=500.0), "good_fit", ["initialization"]),
    "dead": (probed(changed(HIDDEN, dead_share=1.0), **GUESSING), "broken", ["dead_units", "not_learning"]),
    "half dead, yet good": (probed(changed(HIDDEN, dead_share=0.6)), "good_fit", []),
    "saturated": (
        probed(changed(HIDDEN, activation="tanh", dead_share=None, saturated_share=0.9), **GUESSING),
        "broken",
        ["saturated", "not_learning"],
    ),
    "vanishing": (
        probed(changed(HIDDEN, gradient=1e-9), **GUESSING), "broken", ["vanishing", "not_learning"],
    ),
    "frozen": (probed(STILL, **GUESSING), "broken", ["frozen", "not_learning"]),
    "frozen and good": (probed(STILL), "good_fit", []),
    "wrong statistics": (
        probed((INPUT, HIDDEN, dataclasses.replace(NORM, statistics_gap=2.0), OUT), **POOR),
        "broken",
        ["batchnorm", "underfit"],
    ),
    "thrown about": (
        probed(change=2.0, **GUESSING, flags={"momentum": "0.99"}), "broken", ["rate_high", "not_learning"],
    ),
    "hardly moved": (
        probed(change=1e-4, **GUESSING, flags={"global_clipnorm": "1e-6"}), "underfit", ["rate_low", "not_learning"],
    ),
    "dropped": (
        probed(probe={"dropout": 0.95}, **POOR, flags={"dropout": "0.95"}),
        "underfit",
        ["over_regularized", "underfit"],
    ),
    "penalized": (probed(probe={"penalty": 5.0}, **POOR), "underfit", ["over_regularized", "underfit"]),
    "mixed labels": (
        probed(references=References(0.1, 0.1, 0.11), train_score=0.9, validation_score=0.1),
        "broken",
        ["labels", "gap"],
    ),
    "one class": (
        probed(data=dataclasses.replace(DATA, class_counts=(700,) + (0,) * 9), references=References(1.0)),
        "broken",
        ["constant_target"],
    ),
    "codes": (
        probed(data=FEW_NUMBERS, references=References(0.0, 0.5, 0.6, codes=1.0), first_loss=1.0, **R2),
        "good_fit",
        ["codes"],
    ),
    "codes, badly learned": (
        probed(data=FEW_NUMBERS, references=References(0.0, 0.5, 0.6, codes=1.0), first_loss=1.0, **{**R2, **POOR}),
        "broken",
        ["codes", "underfit"],
    ),
    "ratings": (
        probed(data=FEW_NUMBERS, references=References(0.0, 0.5, 0.6, codes=0.3), first_loss=1.0, **R2), "good_fit", [],
    ),
    "rare classes missed": (
        probed(data=RARE, class_recall=(1.0,) + (0.1,) * 9), "good_fit", ["imbalance"],
    ),
    "rare classes without validation examples": (
        probed(data=RARE, class_recall=(1.0,) + (None,) * 9), "good_fit", ["imbalance"],
    ),
    "rare classes weighed alike": (run(**WEIGHED, class_recall=(0.93, 0.92)), "good_fit", []),
    "rare classes weighed alike, behind a linear model in accuracy": (
        probed(data=UNEVEN, references=References(0.95, 0.98, 0.98), **WEIGHED, class_recall=(0.93, 0.92)),
        "good_fit",
        ["imbalance"],
    ),
    "guessing among classes that weigh alike": (
        run(**WEIGHED, class_recall=(0.98, 0.02, None)), "broken", ["not_learning"],
    ),
    "hardly better than guessing among classes that weigh alike": (
        run(**WEIGHED, class_recall=(0.9, 0.4)), "underfit", ["underfit"],
    ),
    "far targets": (
        probed(data=DataHealth(target_largest=80.0), first_loss=1.0, **R2), "good_fit", ["outliers"],
    ),
    "twins": (probed(data=dataclasses.replace(DATA, duplicates=0.9)), "broken", ["leakage"]),
    "elsewhere": (
        probed(data=dataclasses.replace(DATA, shift=0.95), train_score=0.97, validation_score=0.7),
        "broken",
        ["shift", "gap"],
    ),
    "elsewhere, and yet good": (probed(data=dataclasses.replace(DATA, shift=0.95)), "good_fit", ["shift"]),
    "few to validate": (probed(validation_examples=12), "undetermined", ["validation_small"]),
    "raw values": (
        probed((dataclasses.replace(INPUT, mean=120.0, std=70.0), HIDDEN, OUT), **GUESSING),
        "broken",
        ["input_scale", "not_learning"],
    ),
    "raw values coped with": (
        probed((dataclasses.replace(INPUT, scale_ratio=1e5), HIDDEN, OUT)), "good_fit", ["input_scale"],
    ),
    "waiting": (probed(input_ms=40.0, step_ms=41.0, flags={"augment": "flip"}), "good_fit", ["input_bottleneck"]),
    "cut off": (
        probed(probe={"last_activation": "relu"}, **POOR), "broken", ["output_activation", "underfit"],
    ),
    "positive values": (
        probed(probe={"last_activation": "softplus"}, data=DataHealth(), first_loss=1.0, **R2), "good_fit", [],
    ),
}  # fmt: skip
