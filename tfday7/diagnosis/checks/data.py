"""Data that no training can make good: labels that do not belong, splits that leak or differ, inputs out of scale."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.checks.overfit import MIN_GAP, STANDARD_ERRORS
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import (
    MAX_IMBALANCE,
    MAX_SKILL,
    is_imbalanced,
    last_probe,
    skill,
    standard_error,
    suffers,
)
from tfday7.diagnosis.records import finding

MAX_CHANCE_ERROR = 0.12  # A larger standard error makes luck of everything.
CHANCE_ERRORS = 3.0  # Standard errors above guessing that simple methods reach by luck.
MIN_RECALL = 0.5  # Of a rare class of which less than this share of the overall score is recognised.
MAX_TARGET = 30.0  # Deviations from the median (at most 6 | 104); those of long tails reach 20.
# The figures in brackets are those of the calibration half of benchmarks/diagnosis.py: healthy runs | the fault's.
MAX_TWINS = 0.2  # (0 | 0.68 and more.)
MAX_SHIFT = 0.75  # Area under the ROC curve (at most 0.56 | 0.96 and more; lines of other files 0.61); and beyond
SHIFT_ERRORS = 5.0  # standard errors above 0.5.
MIN_VALIDATION = 30  # Examples: with fewer an accuracy of 0.9 is uncertain by more than 5 points.
MAX_INPUT = 10.0  # Mean or deviation of what the first kernel sees (0.3 to 1.1 | 2,800 and more).
MAX_SCALE_RATIO = 1e3  # Between the deviations of its columns.
INPUT_SHARE = 0.8  # Of a step's time, from which on the pipeline decides how long it takes...
MIN_INPUT_MS = 5.0  # ...if it takes a time worth saving.
CODES = 0.8  # See `References.codes` (none of whole numbers | 1.2).


@CHECKS.register("labels")
def labels(evidence: Evidence) -> Match | None:
    """No simple method, nor the model, is better than guessing on examples that it has not seen."""
    references, score = evidence.health.references, evidence.validation_score
    if references is None or references.linear is None or references.neighbours is None or score is None:
        return None
    constant = references.constant or 0.0
    error = standard_error(evidence, constant)
    limit = constant + max(0.02, CHANCE_ERRORS * error)
    reached = max(references.linear, references.neighbours)
    if error > MAX_CHANCE_ERROR or reached > limit or score > limit or _hides_chance(evidence):
        return None
    values = {"metric": evidence.metric, "reached": reached, "baseline": constant, "validation": score}
    flags = {"look": "", "join": "", "features": ""}
    found = finding("labels", "error", values, ["shuffled", "target", "unrelated"], flags)
    return Match("broken", found, margin=1.0)


@CHECKS.register("constant_target")
def constant_target(evidence: Evidence) -> Match | None:
    """All training examples have the same target: there is nothing to learn."""
    if not _is_constant(evidence):
        return None
    found = finding("constant_target", "error", {}, ["column", "filter", "sorted"], {"look": "", "shuffle": ""})
    return Match("broken", found, margin=1.0)


def _is_constant(evidence: Evidence) -> bool:
    data = evidence.health.data
    if data is None:
        return False
    return np.count_nonzero(data.class_counts) == 1 if data.class_counts else data.distinct_targets == 1


@CHECKS.register("codes")
def codes(evidence: Evidence) -> Match | None:
    """Targets of a regression that are codes of classes: when neighbours are wrong, they are not nearly right."""
    data, references = evidence.health.data, evidence.health.references
    if data is None or references is None or references.codes is None or not data.whole_targets:
        return None
    if references.codes < CODES:
        return None
    values = {"distinct": data.distinct_targets, "distance": references.codes}
    flags = {"classification": "--task=classification", "look": ""}
    bad = suffers(evidence)
    found = finding("codes", "error" if bad else "warning", values, ["task", "coding", "order"], flags)
    return Match("broken" if bad else "", found, margin=1.0)


def _hides_chance(evidence: Evidence) -> bool:
    """Returns whether guessing is hard to beat for another reason: one class, rare classes, targets far off."""
    return _is_constant(evidence) or is_imbalanced(evidence) or outliers(evidence) is not None


@CHECKS.register("imbalance")
def imbalance(evidence: Evidence) -> Match | None:
    """Rare classes that are hardly recognised, or of which it was not measured whether they are."""
    data = evidence.health.data
    if data is None or not is_imbalanced(evidence):
        return None
    present = [count for count in data.class_counts if count]
    recalls = [
        recall for count, recall in zip(data.class_counts, evidence.class_recall, strict=False)
        if recall is not None and max(present) >= MAX_IMBALANCE * count
    ]  # fmt: skip
    overall = evidence.validation_score or 0.0
    recall = min(recalls, default=None)  # No recall is known of classes without validation examples.
    missed = recall is not None and recall < MIN_RECALL * overall
    values = {"largest": max(present), "smallest": min(present), "recall": recall, "validation": overall}
    flags = {"weights": remedies.unless_set(evidence, "--class_weights=balanced"), "collect": "", "metric": ""}
    found = finding("imbalance", "warning" if missed else "info", values, ["rare", "loss", "metric"], flags)
    return Match(_passes_over(evidence) if missed else "", found, margin=1.0)


def _passes_over(evidence: Evidence) -> str:
    """Returns the verdict on a model that does not recognise a rare class: "" where it is better than guessing."""
    references, score = evidence.health.references, evidence.validation_score
    known = references is not None and references.constant is not None
    guessing = references.constant if references is not None and known else evidence.baseline
    if guessing is None or score is None or score > guessing + standard_error(evidence, score):
        return ""
    learned = skill(evidence)
    return "overfit" if learned is not None and learned >= MAX_SKILL else "underfit"


@CHECKS.register("outliers")
def outliers(evidence: Evidence) -> Match | None:
    """Targets so far from the median that they may decide the loss and the metric."""
    data = evidence.health.data
    if data is None or data.target_largest is None or data.target_largest <= MAX_TARGET:
        return None
    values = {"largest_deviations": data.target_largest}
    flags = {"look": "", "logarithm": "", "clip": remedies.clipping(evidence)}
    found = finding("outliers", "warning", values, ["mistakes", "tail", "units"], flags)
    return Match("", found, data.target_largest / MAX_TARGET - 1.0)


@CHECKS.register("leakage")
def leakage(evidence: Evidence) -> Match | None:
    """Validation examples that are, or nearly are, training examples: the score says what was learned by heart."""
    data = evidence.health.data
    if data is None or data.duplicates is None or data.duplicates <= MAX_TWINS:
        return None
    values = {"twins_percent": 100.0 * data.duplicates}
    flags = {"group": "", "deduplicate": "", "split": ""}
    found = finding("leakage", "error", values, ["duplicates", "augmented", "series"], flags)
    return Match("broken", found, (data.duplicates - MAX_TWINS) / MAX_TWINS)


@CHECKS.register("shift")
def shift(evidence: Evidence) -> Match | None:
    """Validation inputs that a classifier can tell from training inputs: they are from elsewhere."""
    data = evidence.health.data
    if data is None or data.shift is None or data.shift_error is None:
        return None
    limit = max(MAX_SHIFT, 0.5 + SHIFT_ERRORS * data.shift_error)
    if data.shift <= limit:
        return None
    values = {"shift": data.shift, "limit": limit}
    flags = {"split": "", "augment": remedies.augment(evidence), "preprocess": ""}
    # A split by patient or by year may be from elsewhere on purpose: wrong is only a model that does not carry over.
    bad = suffers(evidence) or _does_not_carry_over(evidence)
    found = finding("shift", "error" if bad else "warning", values, ["source", "preprocessing", "time"], flags)
    return Match("broken" if bad else "", found, (data.shift - limit) / (1.0 - limit))


def _does_not_carry_over(evidence: Evidence) -> bool:
    train, validation = evidence.train_score, evidence.validation_score
    if train is None or validation is None:
        return True
    return train - validation > max(MIN_GAP, STANDARD_ERRORS * standard_error(evidence, validation))


@CHECKS.register("validation_small")
def validation_small(evidence: Evidence) -> Match | None:
    """So few validation examples that their score says little."""
    if not 0 < evidence.validation_examples < MIN_VALIDATION:
        return None
    score = evidence.validation_score if evidence.validation_score is not None else 0.5
    error = standard_error(evidence, score)
    values = {"validation_examples": evidence.validation_examples, "validation": score, "error": 2.0 * error}
    flags = {"split": "", "folds": "", "collect": ""}
    found = finding("validation_small", "warning", values, ["split", "few", "groups"], flags)
    return Match("undetermined", found, margin=0.5)


@CHECKS.register("input_scale")
def input_scale(evidence: Evidence) -> Match | None:
    """What the first kernel sees is far from mean 0 and deviation 1."""
    probe = last_probe(evidence)
    seen = next((layer for layer in probe.layers if layer.kind == "Input"), None) if probe else None
    if seen is None or seen.mean is None or seen.std is None:
        return None
    size, ratio = max(abs(seen.mean), seen.std), seen.scale_ratio or 1.0
    if size <= MAX_INPUT and ratio <= MAX_SCALE_RATIO:
        return None
    poor = suffers(evidence)
    values = {"mean": seen.mean, "deviation": seen.std, "ratio": ratio}
    flags = {"standardize": "", "rescale": "", "clip": remedies.clipping(evidence)}
    found = finding("input_scale", "error" if poor else "warning", values, ["raw", "units", "twice"], flags)
    margin = max(size / MAX_INPUT, ratio / MAX_SCALE_RATIO) - 1.0
    return Match("broken" if poor else "", found, margin)


@CHECKS.register("input_bottleneck")
def input_bottleneck(evidence: Evidence) -> Match | None:
    """Training waits for its data."""
    step, reading = evidence.step_ms, evidence.input_ms
    if not step or not reading or reading < MIN_INPUT_MS or reading < INPUT_SHARE * step:
        return None
    values = {"input_ms": reading, "step_ms": step}
    flags = {"cache": "", "augment": "--augment=" if evidence.flags.get("augment") else None, "convert": ""}
    found = finding("input_bottleneck", "warning", values, ["reading", "decoding", "augmentation"], flags)
    return Match("", found, margin=reading / (INPUT_SHARE * step) - 1.0)
