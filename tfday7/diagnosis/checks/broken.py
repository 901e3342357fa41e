"""A run that cannot be trusted: its loss is no number, or it never beat guessing."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import finding

MIN_SKILL = 0.02  # Share of the way from guessing to perfect; below it nothing was learned.


@CHECKS.register("diverged")
def diverged(evidence: Evidence) -> Match | None:
    """The loss became NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(evidence.loss))
    if evidence.stopped != "nan" and not bad.size:
        return None
    epoch = int(bad[0]) + 1 if bad.size else evidence.epochs
    rate = evidence.flags.get("learning_rate") or "default"
    found = finding(
        "diverged",
        "error",
        {"epoch": epoch, "learning_rate": rate},
        ["rate", "unscaled", "precision"],
        {
            "rate": remedies.lower_rate(evidence, 10),
            "clip": remedies.unless_set(evidence, "--global_clipnorm=1.0"),
            "warmup": remedies.unless_set(evidence, "--warmup_steps=100"),
        },
    )
    return Match("broken", found, margin=1.0)


@CHECKS.register("not_learning")
def not_learning(evidence: Evidence) -> Match | None:
    """The training score is no better than guessing."""
    if evidence.train_score is None or evidence.baseline is None or evidence.stopped == "nan":
        return None
    skill = skill_of(evidence.train_score, evidence.baseline)
    if skill >= MIN_SKILL:
        return None
    found = finding(
        "not_learning",
        "error",
        {"metric": evidence.metric, "train": evidence.train_score, "baseline": evidence.baseline},
        ["rate", "labels", "saturated"],
        {
            "rate": remedies.lower_rate(evidence, 10),
            "optimizer": remedies.unless_set(evidence, "--optimizer=adam"),
            "labels": "",
        },
    )
    return Match("broken", found, margin=(MIN_SKILL - skill) / MIN_SKILL)


def skill_of(score: float, baseline: float) -> float:
    """Returns how much of the way from guessing (0) to perfect (1) a score has gone."""
    return (score - baseline) / max(1.0 - baseline, 1e-9)
