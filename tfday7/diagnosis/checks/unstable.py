"""A run whose training loss ends far above where it has been: the steps are too large for it to settle."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, smooth
from tfday7.diagnosis.measures import suffers
from tfday7.diagnosis.records import finding

MAX_RISE = 2.0  # Final over lowest training loss, both smoothed; a loss that settles does not double again.
REGAINED = 0.05  # Of what the loss had fallen; where it is nearly zero, noise doubles it.
LAST = 3  # Epochs whose median is the end: one bad epoch is no trend.
MIN_EPOCHS = 5
# Of the second half of a run: the median step of the loss from epoch to epoch, relative to all that it fell, and the
# share of steps that turn back. In the calibration half of benchmarks/diagnosis.py healthy runs reach 0.036.
MAX_SWING, MIN_TURNS = 0.1, 0.4
MIN_SWING_OF_LOSS = 0.05  # Noise on a loss that has hardly moved is no swing.
MIN_EPOCHS_TO_SWING = 8


@CHECKS.register("unstable")
def check(evidence: Evidence) -> Match | None:
    """The training loss rises again."""
    if evidence.epochs < MIN_EPOCHS or not np.isfinite(evidence.loss).all():
        return None
    curve = smooth(evidence.loss)
    best = int(curve[:-LAST].argmin())  # Of a steep curve the median of the last may be twice the end.
    last = float(np.median(evidence.loss[-LAST:]))
    rise = last / max(float(curve[best]), 1e-12)
    if rise <= MAX_RISE or not last - curve[best] > max(1e-3, REGAINED * float(curve[0] - curve[best])):
        return None
    values = {"best_epoch": best + 1, "lowest": float(curve[best]), "last": last, "rise": rise}
    flags = {
        "rate": remedies.lower_rate(evidence, 3),
        "schedule": remedies.unless_set(evidence, "--schedule=cosine"),
        "clip": remedies.clipping(evidence),
    }
    found = finding("unstable", "error", values, ["rate", "schedule", "gradients"], flags)
    return Match("unstable", found, margin=(rise - MAX_RISE) / MAX_RISE)


@CHECKS.register("oscillating")
def oscillating(evidence: Evidence) -> Match | None:
    """The training loss swings up and down instead of settling, and the result is poor."""
    if evidence.epochs < MIN_EPOCHS_TO_SWING or not np.isfinite(evidence.loss).all() or not suffers(evidence):
        return None
    half = evidence.loss[evidence.epochs // 2 :]
    steps = np.diff(half)
    step, turns = float(np.median(np.abs(steps))), float(np.mean(steps[1:] * steps[:-1] < 0))
    swing = step / max(float(evidence.loss[0] - evidence.loss.min()), 1e-12)
    if swing <= MAX_SWING or turns < MIN_TURNS or step < MIN_SWING_OF_LOSS * float(np.median(half)):
        return None
    flags = {
        "rate": remedies.lower_rate(evidence, 3),
        "schedule": remedies.unless_set(evidence, "--schedule=cosine"),
        "batch": remedies.larger_batch(evidence),
        "momentum": remedies.lower_momentum(evidence),
    }
    values = {"swing_percent": 100.0 * swing, "turns_percent": 100.0 * turns}
    found = finding("oscillating", "error", values, ["rate", "momentum", "batch"], flags)
    return Match("unstable", found, margin=swing / MAX_SWING - 1.0)
