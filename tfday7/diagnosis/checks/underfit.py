"""A run that has not learned what its training examples offer: too small a model, or stopped too early."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.checks.broken import MIN_SKILL, skill_of
from tfday7.diagnosis.evidence import Evidence, smooth
from tfday7.diagnosis.records import finding

MAX_SKILL = 0.5  # Less than half of the way from guessing to perfect, on the examples that it was trained on.
IMPROVING = 0.05  # The last fifth of the run still lowered the training loss by this share.
MIN_EPOCHS = 5


@CHECKS.register("underfit")
def check(evidence: Evidence) -> Match | None:
    """Training and validation are both poor."""
    train, baseline = evidence.train_score, evidence.baseline
    if train is None or baseline is None or evidence.stopped == "nan":
        return None
    skill = skill_of(train, baseline)
    if not MIN_SKILL <= skill < MAX_SKILL:
        return None
    improving = _still_improving(evidence)
    values = {
        "metric": evidence.metric,
        "train": train,
        "baseline": baseline,
        "skill_percent": 100.0 * skill,
        "epochs": evidence.epochs,
        "still_improving": improving,
    }
    causes = ["capacity", "short", "rate", "regularization"]
    flags = {
        "longer": f"--epochs={evidence.epochs * 3}",
        "wider": remedies.width(evidence, 2),
        "optimizer": remedies.if_taken(evidence, "--optimizer=adam --learning_rate=0.001"),
        "regularization": remedies.no_regularization(evidence),
    }
    if improving:
        causes = ["short", "rate", "capacity", "regularization"]
    else:
        flags = {"wider": flags.pop("wider"), **flags}
    return Match("underfit", finding("underfit", "warning", values, causes, flags), (MAX_SKILL - skill) / MAX_SKILL)


def _still_improving(evidence: Evidence) -> bool:
    if evidence.epochs < MIN_EPOCHS or not np.isfinite(evidence.loss).all():
        return False
    curve = smooth(evidence.loss)
    before = curve[-1 - max(1, evidence.epochs // 5)]
    return bool(curve[-1] < before * (1.0 - IMPROVING))
