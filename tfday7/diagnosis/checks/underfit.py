"""A run that has not learned what its training examples offer: held back, too small a model, or stopped too early."""

from __future__ import annotations

from typing import Any

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import (
    MAX_SKILL,
    best_training,
    first_probe,
    is_behind,
    is_poor,
    last_probe,
    learned_nothing,
    mean_recall,
    skill,
    skill_of,
    still_improving,
    weighs_alike,
)
from tfday7.diagnosis.records import finding

MAX_DROPOUT = 0.7  # Dropout is used up to 0.5; the fault of benchmarks/diagnosis.py is 0.97.
# Of L2, when training starts or ends, relative to the loss of the first answers. In the calibration half of
# benchmarks/diagnosis.py healthy runs have at most 0.03, too strong ones 55 and more.
MAX_PENALTY = 1.0


@CHECKS.register("over_regularized")
def over_regularized(evidence: Evidence) -> Match | None:
    """Dropout or L2 hold the model back so much that it learns little."""
    first, last = first_probe(evidence), last_probe(evidence)
    if first is None or last is None or not (is_poor(evidence) or is_behind(evidence) or learned_nothing(evidence)):
        return None
    penalty = max(first.penalty, last.penalty) / max(first.loss or 1.0, 1e-9)
    if last.dropout <= MAX_DROPOUT and penalty <= MAX_PENALTY:
        return None
    values = {"dropout": last.dropout, "penalty": penalty}
    dropout_first = last.dropout > MAX_DROPOUT
    flags = {
        "less": remedies.no_regularization(evidence),
        "wider": remedies.width(evidence, 2),
        "longer": remedies.longer(evidence),
    }
    causes = ["dropout", "l2", "both"] if dropout_first else ["l2", "dropout", "both"]
    return Match("underfit", finding("over_regularized", "warning", values, causes, flags), margin=1.0)


@CHECKS.register("underfit")
def underfit(evidence: Evidence) -> Match | None:
    """Training and validation are both poor, and training gets no further."""
    if not _is_half_learned(evidence) or still_improving(evidence):
        return None
    flags = {"wider": remedies.width(evidence, 2), **_flags(evidence)}
    causes = ["capacity", "short", "rate", "regularization"]
    return Match("underfit", finding("underfit", "warning", _values(evidence), causes, flags), margin=_margin(evidence))


@CHECKS.register("unfinished")
def unfinished(evidence: Evidence) -> Match | None:
    """Training ended while it still got better, and simple methods are better still."""
    value, references = skill(evidence), evidence.health.references
    if value is None or learned_nothing(evidence) or not still_improving(evidence):
        return None
    known = references is not None and references.best is not None and best_training(evidence) >= references.best
    if known or not (is_poor(evidence) or is_behind(evidence)):  # Known by heart: longer training is no remedy.
        return None
    flags = {**_flags(evidence), "wider": remedies.width(evidence, 2)}
    causes = ["short", "rate", "capacity", "regularization"]
    return Match(
        "underfit", finding("unfinished", "warning", _values(evidence), causes, flags), margin=_margin(evidence)
    )


def _is_half_learned(evidence: Evidence) -> bool:
    return skill(evidence) is not None and is_poor(evidence) and not learned_nothing(evidence)


def _margin(evidence: Evidence) -> float:
    """Returns how far the skill is below half of the way to perfect, or of what simple methods reach."""
    return max(0.0, 1.0 - (skill(evidence) or 0.0) / MAX_SKILL)


def _values(evidence: Evidence) -> dict[str, Any]:
    references = evidence.health.references
    recall = mean_recall(evidence) if weighs_alike(evidence) else None
    return {
        **({"mean_recall": recall[0], "guessed_recall": recall[1]} if recall else {}),
        "metric": evidence.metric,
        "train": evidence.train_score,
        "baseline": evidence.baseline,
        "reached": references.best if references else None,
        "skill_percent": 100.0 * ((skill_of(*recall) if recall else skill(evidence)) or 0.0),
        "epochs": evidence.epochs,
    }


def _flags(evidence: Evidence) -> dict[str, str | None]:
    return {
        "longer": remedies.longer(evidence),
        "optimizer": remedies.reference_optimizer(evidence),
        "regularization": remedies.no_regularization(evidence),
    }
