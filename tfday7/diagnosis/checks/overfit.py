"""A run that learned its training examples better than what they have in common."""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, noise, smooth
from tfday7.diagnosis.measures import standard_error
from tfday7.diagnosis.records import Finding, finding

# Final over lowest validation loss. Fitted on 419 simulated histories of 12 tables, 44 of which overfit: replication
# data of "Keeping Deep Learning Models in Check" (arXiv:2401.10359); leave-one-task-out macro-F1 0.969.
MAX_RISE = 1.043
MIN_RISE = 1e-3  # A loss this close to its minimum is no worse, however large the ratio when both are near zero.
# A noisy curve also ends above its lowest point. With two deviations more, healthy simulated curves with 3 to 10% of
# noise alarm in at most 1% of runs (15% without), and the decisions on the histories above stay the same.
NOISE_DEVIATIONS = 2.0
MIN_EPOCHS = 5
# A gap between the scores counts from 5 points on, and only beyond three standard errors of the validation score.
MIN_GAP = 0.05
STANDARD_ERRORS = 3.0
MEMORIZED = 1 / 3  # And only where training makes at most this share of validation's mistakes: some gap is normal.


@CHECKS.register("overfit")
def rising(evidence: Evidence) -> Match | None:
    """The validation loss rises past its minimum, above the training loss, which still falls.

    Above: where validation is no worse than training, a rise is no sign of memorizing (all 44 positives agree).
    """
    if evidence.epochs < MIN_EPOCHS or not np.isfinite([evidence.val_loss, evidence.loss]).all():
        return None
    validation, training = smooth(evidence.val_loss), smooth(evidence.loss)
    best = int(validation.argmin())
    rise = float(validation[-1] / max(validation[best], 1e-12))
    threshold = MAX_RISE + NOISE_DEVIATIONS * noise(evidence.val_loss) / max(float(validation[best]), 1e-12)
    rose = rise > threshold and validation[-1] > validation[best] + MIN_RISE
    if not rose or training[-1] >= training[best] or validation[-1] <= training[-1]:
        return None
    values = {
        "best_epoch": best + 1,
        "epochs": evidence.epochs,
        "rise_percent": 100.0 * (rise - 1.0),
        "lowest": float(validation[best]),
        "last": float(validation[-1]),
    }
    return Match("overfit", _finding("overfit", evidence, values), margin=(rise - threshold) / (threshold - 1.0))


@CHECKS.register("gap")
def gap(evidence: Evidence) -> Match | None:
    """The delivered model is clearly better on training than on validation examples."""
    train, validation = evidence.train_score, evidence.validation_score
    if train is None or validation is None or evidence.stopped == "nan" or train <= (evidence.baseline or 0.0):
        return None
    threshold = max(MIN_GAP, STANDARD_ERRORS * standard_error(evidence, validation))
    difference = train - validation
    if difference <= threshold or 1.0 - train > MEMORIZED * (1.0 - validation):
        return None
    values = {"train": train, "validation": validation, "gap_points": 100.0 * difference}
    return Match("overfit", _finding("gap", evidence, values), margin=(difference - threshold) / threshold)


def _finding(identifier: str, evidence: Evidence, values: dict[str, float]) -> Finding:
    flags = {
        "stop": f"--patience={max(3, evidence.epochs // 10)}",
        "augment": remedies.augment(evidence),
        "dropout": remedies.more_dropout(evidence),
        "l2": remedies.more_l2(evidence),
        "smaller": remedies.width(evidence, 1 / 2),
    }
    if evidence.flags.get("patience", "0") != "0":
        del flags["stop"]
    return finding(identifier, "warning", values, ["capacity", "regularization", "data"], flags)
