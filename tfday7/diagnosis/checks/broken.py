"""A run that cannot be trusted: its loss is no number, or it never beat guessing."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import MIN_SKILL, learned_nothing, skill
from tfday7.diagnosis.records import finding


@CHECKS.register("diverged")
def diverged(evidence: Evidence) -> Match | None:
    """The loss became NaN or infinite; or only that of validation, of the weights that training ended with."""
    bad = np.flatnonzero(~np.isfinite(evidence.loss))
    ends_well = not np.isfinite(evidence.val_loss).any() or np.isfinite(evidence.val_loss[-1])
    if not bad.size and not ends_well and evidence.kind:  # A history alone may just not have recorded it.
        bad = np.array([evidence.epochs - 1])
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
            "clip": remedies.clipping(evidence),
            "warmup": remedies.warmup(evidence),
        },
    )
    return Match("broken", found, margin=1.0)


@CHECKS.register("not_learning")
def not_learning(evidence: Evidence) -> Match | None:
    """The training score is no better than guessing."""
    value = skill(evidence)
    if value is None or not learned_nothing(evidence):
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
    return Match("broken", found, margin=(MIN_SKILL - value) / MIN_SKILL)
