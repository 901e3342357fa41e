"""A run whose training loss ends far above where it has been: the steps are too large for it to settle."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, smooth
from tfday7.diagnosis.records import finding

MAX_RISE = 2.0  # Final over lowest training loss, both smoothed; a loss that settles does not double again.
REGAINED = 0.05  # Of what the loss had fallen; where it is nearly zero, noise doubles it.
LAST = 3  # Epochs whose median is the end: one bad epoch is no trend.
MIN_EPOCHS = 5


@CHECKS.register("unstable")
def check(evidence: Evidence) -> Match | None:
    """The training loss rises again."""
    if evidence.epochs < MIN_EPOCHS or not np.isfinite(evidence.loss).all():
        return None
    curve = smooth(evidence.loss)
    best = int(curve.argmin())
    last = float(np.median(evidence.loss[-LAST:]))
    rise = last / max(float(curve[best]), 1e-12)
    if rise <= MAX_RISE or not last - curve[best] > max(1e-3, REGAINED * float(curve[0] - curve[best])):
        return None
    values = {"best_epoch": best + 1, "lowest": float(curve[best]), "last": last, "rise": rise}
    flags = {
        "rate": remedies.lower_rate(evidence, 3),
        "schedule": remedies.unless_set(evidence, "--schedule=cosine"),
        "clip": remedies.unless_set(evidence, "--global_clipnorm=1.0"),
    }
    found = finding("unstable", "error", values, ["rate", "schedule", "gradients"], flags)
    return Match("unstable", found, margin=(rise - MAX_RISE) / MAX_RISE)
