"""Quantities that several checks need: how much was learned, how sure a score is, how it compares with references."""

from __future__ import annotations

import math

import numpy as np

from tfday7.diagnosis.evidence import Evidence, smooth
from tfday7.diagnosis.health import LayerProbe, Probe

# Examples of the most common class to those of the rarest, from where on it matters how the classes weigh.
WEIGHED = 2.0
MAX_IMBALANCE = 10.0  # Most common class over rarest.
BELOW_ENTROPY = 0.1  # A loss that is lower by this share than that of guessing has learned something.
MIN_SKILL = 0.02  # Share of the way from guessing to perfect; below it nothing was learned.
# Without references, less than half of the way from guessing to perfect on the training examples is poor.
MAX_SKILL = 0.5
# With references: a model that fits is behind what a simple method reaches by no more than this share of its skill...
SHORTFALL = 0.05
STANDARD_ERRORS = 2.0  # ...and so many standard errors of the validation score.
IMPROVING = 0.05  # The last fifth of the run still lowered the training loss by this share.
ASSUMED_EXAMPLES = 100  # Of a validation split whose size was not recorded; few, so that a gap is not chance.
FALLING = 0.1  # Of all that the loss fell since the first epoch; of a straight line it would be twice that.
MIN_EPOCHS = 5  # Curves with fewer points do not show whether they turn.


def skill_of(score: float, baseline: float) -> float:
    """Returns how much of the way from guessing (0) to perfect (1) a score has gone."""
    return (score - baseline) / max(1.0 - baseline, 1e-9)


def skill(evidence: Evidence) -> float | None:
    """Returns the training score's skill; None where it was not measured, or training diverged.

    Where classes weigh alike, accuracy is given away on purpose: then the skill is that of the mean recall, where it is
    known, unless that of the accuracy is higher.
    """
    if evidence.train_score is None or evidence.baseline is None or evidence.stopped == "nan":
        return None
    value = skill_of(evidence.train_score, evidence.baseline)
    recall = mean_recall(evidence) if weighs_alike(evidence) else None
    return value if recall is None else max(value, skill_of(*recall))


def weighs_alike(evidence: Evidence) -> bool:
    """Returns whether training weighs all classes alike, and some are rare enough for that to change much."""
    if evidence.task != "classification" or evidence.flags.get("class_weights") != "balanced":
        return False
    present = present_classes(evidence)
    return not present or max(present) >= WEIGHED * min(present)


def present_classes(evidence: Evidence) -> list[int]:
    """Returns how many training examples each class has that has any; empty where that was not measured."""
    return [count for count in evidence.health.data.class_counts if count] if evidence.health.data else []


def is_imbalanced(evidence: Evidence) -> bool:
    """Returns whether the most common class has many times the examples of the rarest."""
    present = present_classes(evidence)
    return len(present) > 1 and max(present) >= MAX_IMBALANCE * min(present)


def mean_recall(evidence: Evidence) -> tuple[float, float] | None:
    """Returns the mean recall of the classes that validation has, and that of guessing; None where not measured."""
    known = [recall for recall in evidence.class_recall if recall is not None]
    return (sum(known) / len(known), 1.0 / len(known)) if len(known) > 1 else None


def learned_nothing(evidence: Evidence) -> bool:
    """Returns whether the training score is no better than guessing, nor the loss; see `skill`."""
    value = skill(evidence)
    return value is not None and value < MIN_SKILL and not beats_frequencies(evidence)


def beats_frequencies(evidence: Evidence) -> bool:
    """Returns whether the loss is clearly below that of guessing, where accuracy hardly tells: where a class is rare.

    Guessing is to answer with the classes' frequencies; its loss is their entropy. Where classes weigh alike, the loss
    is another one.
    """
    counts = present_classes(evidence)
    if not is_imbalanced(evidence) or not evidence.epochs or weighs_alike(evidence):
        return False
    shares = np.array(counts, np.float64) / sum(counts)
    return bool(evidence.loss[-1] < (1.0 - BELOW_ENTROPY) * -(shares * np.log(shares)).sum())


def standard_error(evidence: Evidence, score: float) -> float:
    """Returns the standard error of a validation score.

    Of a share of examples that of the binomial distribution, with two right and two wrong ones more, as Agresti and
    Coull (1998) have it: 17 of 17 are not certain; of R2 that of a mean of squares of normal errors, whose
    relative error is sqrt(2 / n).
    """
    count = evidence.validation_examples or ASSUMED_EXAMPLES
    if evidence.metric == "r2_score":
        return max(0.0, 1.0 - score) * math.sqrt(2.0 / count)
    share = (score * count + 2.0) / (count + 4.0)
    return math.sqrt(share * (1.0 - share) / (count + 4.0))


def is_poor(evidence: Evidence) -> bool:
    """Returns whether the model answers clearly worse than it could, on its own training examples too.

    Where no references were measured: whether it has gone less than half of the way from guessing to perfect on them.
    So too where classes weigh alike: references are measured in accuracy.
    """
    value, references = skill(evidence), evidence.health.references
    if value is None:
        return False
    if weighs_alike(evidence) or evidence.validation_score is None:
        return value < MAX_SKILL
    if references is None or references.best is None or references.linear is None:
        return value < MAX_SKILL
    return falls_short(evidence) and best_training(evidence) < references.best


def suffers(evidence: Evidence) -> bool:
    """Returns whether a run is bad enough for a strange start or strange layers to be what is wrong with it."""
    bad = evidence.stopped == "nan" or learned_nothing(evidence)
    return bad or is_poor(evidence) or falls_short(evidence)


def falls_short(evidence: Evidence) -> bool:
    """Returns whether the validation score is clearly below what simple methods reach with the same data.

    Not where classes weigh alike: simple methods have a higher accuracy where they pass over the rare ones.
    """
    references, score = evidence.health.references, evidence.validation_score
    if references is None or references.best is None or references.constant is None or score is None:
        return False
    if weighs_alike(evidence):
        return False
    reached = references.best
    margin = SHORTFALL * (reached - references.constant) + STANDARD_ERRORS * standard_error(evidence, reached)
    return score < reached - margin


def best_training(evidence: Evidence) -> float:
    """Returns the higher of the delivered weights' training score and that of the last epoch."""
    last = float(evidence.train_metric[-1]) if len(evidence.train_metric) else math.nan
    known = [value for value in (last, evidence.train_score) if value is not None and math.isfinite(value)]
    return max(known, default=-math.inf)


def is_behind(evidence: Evidence) -> bool:
    """Returns whether the validation score is below what a simple method reaches, by more than its standard error."""
    references, score = evidence.health.references, evidence.validation_score
    if references is None or references.best is None or score is None or weighs_alike(evidence):  # As `falls_short`.
        return False
    return score < references.best - standard_error(evidence, references.best)


def still_improving(evidence: Evidence) -> bool:
    """Returns whether the last fifth of the run still lowered both losses.

    That of training by a twentieth, or by a tenth of all that it fell since the first epoch; that of validation at all.
    """
    if evidence.epochs < MIN_EPOCHS or not np.isfinite(evidence.loss).all():
        return False
    reach = 1 + max(1, evidence.epochs // 5)
    curve = smooth(evidence.loss)
    first, before, last = curve[0], curve[-reach], curve[-1]
    if not before - last > min(IMPROVING * abs(before), FALLING * max(first - last, 0.0)) > 0:
        return False
    if not np.isfinite(evidence.val_loss).all():
        return True
    validation = smooth(evidence.val_loss)
    return bool(validation[-1] < validation[-reach])


def first_probe(evidence: Evidence) -> Probe | None:
    """Returns what the layers did before training; None where they were not probed."""
    probes = evidence.health.probes
    return probes[0] if probes and probes[0].epoch == 0 else None


def last_probe(evidence: Evidence) -> Probe | None:
    """Returns what the layers did when training ended; None where they were not probed then."""
    probes = evidence.health.probes
    return probes[-1] if len(probes) > 1 else None


def kernels(probe: Probe) -> list[LayerProbe]:
    """Returns the layers that have a kernel, in the order of the forward pass."""
    return [layer for layer in probe.layers if layer.weight is not None]


def hidden(probe: Probe) -> list[LayerProbe]:
    """Returns all layers but the input and what follows the last kernel: those whose outputs other kernels see."""
    last = max((i for i, layer in enumerate(probe.layers) if layer.weight is not None), default=0)
    return [layer for layer in probe.layers[:last] if layer.kind != "Input"]
