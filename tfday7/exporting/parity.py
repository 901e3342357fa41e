"""Does an artefact give the Keras model's answers? On the whole test split, against limits by number format."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.data import Problem
from tfday7.data.heads import placed
from tfday7.data.lazy import Inputs
from tfday7.data.scoring import decisions, score
from tfday7.exporting.records import Parity

# Largest difference allowed, relative to the largest output (of values: both in the target's deviations from its mean),
# and drop of the metric. float32: other summation orders and fused operators, measured at 1e-7 to 1e-6 on the models
# here. int8: half a step of 1/256 per layer adds up to 1-6% on working models, while a broken conversion (bidirectional
# LSTM) was seen at 16%. float16: 2^-11 a weight, about 1e-3 of the outputs. dynamic: int8 weights, and activations that
# are quantized as they come. The last three were measured on the two reference models and on ResNet-8, DS-CNN (digits),
# transformer, LSTM and GRU (text), some epochs trained: int16x8 0.8-1.3%, an unrolled GRU 4%; weight_int8 0.1-0.9%;
# weight_int4 1-10%, DS-CNN 25%, where the metric dropped by up to 0.6 points.
LIMITS = {
    "float32": {"relative_difference": 1e-4, "metric_drop": 0.001, "agreement": 0.999},
    "float16": {"relative_difference": 0.01, "metric_drop": 0.002, "agreement": 0.99},
    "dynamic": {"relative_difference": 0.15, "metric_drop": 0.005, "agreement": 0.95},
    "int8": {"relative_difference": 0.15, "metric_drop": 0.005, "agreement": 0.95},
    "int16x8": {"relative_difference": 0.1, "metric_drop": 0.005, "agreement": 0.98},
    "weight_int8": {"relative_difference": 0.03, "metric_drop": 0.005, "agreement": 0.98},
    "weight_int4": {"relative_difference": 0.5, "metric_drop": 0.01, "agreement": 0.95},
}
MOST_DEVIATIONS = 4.0  # A single output that is farther off is no measure for the others.
WORST = 5
# What a relative difference is relative to, by `Parity.relative_to`.
SCALES = {
    "largest_output": "the largest output",
    "largest_in_deviations": "the largest output in deviations",
    "deviation": "the target's deviation",  # In records of earlier versions.
    "own_scale": "its target's scale",
}
# Outputs that are large beside their spread, 5000 give or take 1 say, are no finer than float32 itself at that size.
SPACINGS = 4


def compare(
    kind: str, problem: Problem, expected: np.ndarray, outputs: np.ndarray, y: Inputs | None, meaning: str = ""
) -> Parity:
    """Compares an artefact's outputs with the Keras model's.

    Args:
        kind: a key of `LIMITS`.
        problem: decides the metric.
        expected, outputs: [n, outputs] of the Keras model and of the artefact.
        y: the labels, for the metric; None where there are none, and then the outputs alone decide.
        meaning: of the outputs, as of `score`.

    The metric may always drop by one example (F1: by one label), the finest step that it has on a small split.
    """
    difference = np.abs(outputs.astype(np.float64) - expected.astype(np.float64))
    scale, relative_to = _scale(problem, expected)
    relative, limit = _nearest_to_its_limit(difference, expected, scale, LIMITS[kind]["relative_difference"])
    limits = {**LIMITS[kind], "relative_difference": limit}
    one = 1.0 / len(expected)
    if problem.task == "classification":
        limits["agreement"] = min(limits["agreement"], 1.0 - one)
    else:  # An example with many labels changes with any of them; there the metric decides.
        limits.pop("agreement")
    if y is None:
        limits.pop("metric_drop")
    elif problem.task in ("classification", "several"):
        limits["metric_drop"] = max(limits["metric_drop"], one)
    elif problem.task == "multilabel":
        limits["metric_drop"] = max(limits["metric_drop"], 1.0 / max(1.0, float(np.sum(y[:]))))
    parity = Parity(
        metric=None if y is None else problem.metric,
        keras_metric=None if y is None else score(problem, expected, y, meaning),
        artefact_metric=None if y is None else score(problem, outputs, y, meaning),
        largest_difference=_finite(difference.max()),
        mean_difference=_finite(difference.mean()),
        relative_difference=_finite(relative),
        agreement=_agreement(problem, expected, outputs, meaning),
        worst_examples=_worst(difference),
        examples=len(expected),
        limits=limits,
        failures=[],
        relative_to=relative_to,
    )
    parity.failures.extend(_failures(parity, bool(np.isfinite(outputs).all())))
    return parity


def shown(share: float) -> str:
    """Returns a difference or its limit as a percentage of at least four digits: "16.21%", "0.01312%", "20009%"."""
    return f"{100.0 * share:.0f}%" if share >= 10.0 else f"{100.0 * share:.4g}%"


def _nearest_to_its_limit(
    difference: np.ndarray, expected: np.ndarray, scale: np.ndarray, limit: float
) -> tuple[float, float]:
    """Returns the relative difference of the column that comes nearest to its limit, or exceeds it most, and the limit.

    Each column has its own: a large one is no finer than float32 is at its size, the others are.
    """
    largest = np.abs(expected).max(axis=0)
    limits = np.maximum(limit, SPACINGS * float(np.finfo(np.float32).eps) * largest / scale)
    relative = difference.max(axis=0) / scale
    worst = np.unravel_index(np.argmax(np.nan_to_num(relative / limits, nan=np.inf)), relative.shape)
    return float(relative[worst]), float(np.broadcast_to(limits, relative.shape)[worst])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _worst(difference: np.ndarray) -> list[dict[str, Any]]:
    """Returns the examples of the largest differences, the largest first; of equal ones the earlier first."""
    per_example = np.nan_to_num(difference.reshape(len(difference), -1).max(axis=1), nan=np.inf)
    order = np.argsort(-per_example, kind="stable")[:WORST]
    return [{"example": int(i), "difference": float(per_example[i])} for i in order if np.isfinite(per_example[i])]


def _agreement(problem: Problem, expected: np.ndarray, outputs: np.ndarray, meaning: str) -> float | None:
    if problem.heads:
        found = [_agreement(head, expected[:, at], outputs[:, at], meaning) for head, at in placed(problem)]
        return min((share for share in found if share is not None), default=None)
    if problem.task in ("regression", "reconstruction"):
        return None
    same = decisions(problem, expected, meaning) == decisions(problem, outputs, meaning)
    return float(np.mean(same.reshape(len(same), -1).all(axis=1)))


def _scale(problem: Problem, expected: np.ndarray) -> tuple[np.ndarray, str]:
    """Returns what differences are measured against, and its key in `SCALES`."""
    if problem.heads:
        scales = [_scale(head, expected[:, columns])[0] for head, columns in placed(problem)]
        sizes = [head.outputs for head in problem.heads]
        return np.concatenate([np.broadcast_to(s, n) for s, n in zip(scales, sizes, strict=True)]), "own_scale"
    if problem.target_mean is None or problem.target_std is None:
        return np.asarray(np.abs(expected).max() or 1.0, np.float64), "largest_output"
    # An int8 step is a 256th of the outputs' range: an error is seen beside the largest of them, from the mean.
    largest = np.abs((expected - problem.target_mean) / problem.target_std).max()
    return problem.target_std * np.clip(largest, 1.0, MOST_DEVIATIONS), "largest_in_deviations"


def _failures(parity: Parity, finite: bool) -> list[str]:
    if not finite or parity.relative_difference is None:
        return ["outputs hold NaN or infinity"]
    found = []
    limit = parity.limits["relative_difference"]
    if parity.relative_difference > limit:
        found.append(
            f"largest difference is {shown(parity.relative_difference)} of {SCALES[parity.relative_to]};"
            f" allowed {shown(limit)} (worst: test example {parity.worst_examples[0]['example']})"
        )
    agreed = parity.limits.get("agreement")
    if agreed is not None and parity.agreement is not None and parity.agreement < agreed - 1e-9:
        found.append(f"only {parity.agreement:.2%} of the decisions are the same; required {agreed:.2%}")
    if parity.keras_metric is None or parity.artefact_metric is None:
        return found
    drop, allowed = parity.keras_metric - parity.artefact_metric, parity.limits["metric_drop"]
    if drop > allowed + 1e-9:
        found.append(f"{parity.metric} drops by {drop:.4f}; allowed {allowed:.4f}")
    return found
