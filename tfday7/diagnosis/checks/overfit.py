"""A run that learned its training examples better than what they have in common."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, noise, smooth
from tfday7.diagnosis.measures import standard_error
from tfday7.diagnosis.records import finding

# A rise of the validation loss is overfitting in proportion to what training still gained meanwhile: the geometric mean
# of both changes, each relative to its value at the minimum. Fitted on 419 simulated histories of 12 tables, of which
# 44 overfit: replication data of "Keeping Deep Learning Models in Check" (arXiv:2401.10359). Refitted leaving each task
# out it gets a macro-F1 of 0.988, a threshold on the rise alone 0.969 (benchmarks/diagnosis_histories.py).
MIN_DIVERGENCE = 0.077
# Smaller rises cost nothing worth stopping for. On those histories anything from 0 to 4.2% decides the same.
MAX_RISE = 1.04
MIN_RISE = 1e-3  # A loss this close to its minimum is no worse, however large the ratio when both are near zero.
# A noisy curve also ends above its lowest point. With two deviations more, healthy simulated curves with 3 to 10% of
# noise alarm in at most 1% of runs (15% without), and the decisions on the histories above stay the same.
NOISE_DEVIATIONS = 2.0
MIN_EPOCHS = 5
# A gap between the scores counts from 10 points on, and only beyond three standard errors of the validation score. In
# the calibration half of benchmarks/diagnosis.py healthy runs reach 8 points.
MIN_GAP = 0.1
CAUSES = ["capacity", "regularization", "data"]
STANDARD_ERRORS = 3.0
MEMORIZED = 1 / 3  # And only where training makes at most this share of validation's mistakes: some gap is normal.


@CHECKS.register("overfit")
def rising(evidence: Evidence) -> Match | None:
    """The validation loss rises past its minimum, above the training loss, which still falls.

    Above: where validation is no worse than training, a rise is no sign of memorizing (all 44 positives agree).
    """
    if evidence.epochs < MIN_EPOCHS or not np.isfinite([evidence.val_loss, evidence.loss]).all():
        return None
    turn = turn_of(evidence)
    threshold = MAX_RISE + NOISE_DEVIATIONS * noise(evidence.val_loss) / max(abs(turn.lowest), 1e-12)
    rose = 1.0 + turn.rise > threshold and turn.last > turn.lowest + MIN_RISE
    if not rose or turn.divergence <= MIN_DIVERGENCE:
        return None
    values = {
        "best_epoch": turn.best + 1,
        "epochs": evidence.epochs,
        "rise_percent": 100.0 * turn.rise,
        "lowest": turn.lowest,
        "last": turn.last,
    }
    if evidence.stopped == "early":  # It is what training was stopped for, and the weights are those of the minimum.
        return Match("", finding("overfit", "info", values, CAUSES, _flags(evidence)), margin=0.0)
    margins = (1.0 + turn.rise - threshold) / (threshold - 1.0), turn.divergence / MIN_DIVERGENCE - 1.0
    return Match("overfit", finding("overfit", "warning", values, CAUSES, _flags(evidence)), margin=min(margins))


@dataclasses.dataclass(frozen=True)
class Turn:
    """What the smoothed losses did since validation was at its minimum.

    Attributes:
        best: index of the epoch of the minimum.
        lowest, last: the validation loss there and at the end.
        rise: of the validation loss since, relative to the minimum.
        fall: of the training loss since, relative to its value at the minimum.
        above: whether validation ends above training.
    """

    best: int
    lowest: float
    last: float
    rise: float
    fall: float
    above: bool

    @property
    def divergence(self) -> float:
        """The geometric mean of rise and fall; 0 where one of them is none, or validation is no worse than training."""
        return math.sqrt(max(self.rise, 0.0) * max(self.fall, 0.0)) if self.above else 0.0


def turn_of(evidence: Evidence) -> Turn:
    """Returns what the losses did since the minimum; both must be finite."""
    validation, training = smooth(evidence.val_loss), smooth(evidence.loss)
    best = int(validation.argmin())
    lowest, last, trained = float(validation[best]), float(validation[-1]), float(training[best])
    return Turn(
        best,
        lowest,
        last,
        rise=(last - lowest) / max(abs(lowest), 1e-12),
        fall=(trained - float(training[-1])) / max(abs(trained), 1e-12),
        above=last > float(training[-1]),
    )


@CHECKS.register("gap")
def gap(evidence: Evidence) -> Match | None:
    """The model is clearly better on training than on validation examples: the delivered one, or that of the end."""
    pairs = [(evidence.train_score, evidence.validation_score)]
    if evidence.stopped == "finished" and len(evidence.train_metric) == len(evidence.validation_metric) > 0:
        pairs.append((float(evidence.train_metric[-1]), float(evidence.validation_metric[-1])))
    matches = [match for train, validation in pairs if (match := _gap(evidence, train, validation)) is not None]
    return max(matches, key=lambda match: match.margin, default=None)


def _gap(evidence: Evidence, train: float | None, validation: float | None) -> Match | None:
    if train is None or validation is None or evidence.stopped == "nan" or not train > (evidence.baseline or 0.0):
        return None
    threshold = max(MIN_GAP, STANDARD_ERRORS * standard_error(evidence, validation))
    difference = train - validation
    if not difference > threshold or 1.0 - train > MEMORIZED * (1.0 - validation):
        return None
    values = {"train": train, "validation": validation, "gap_points": 100.0 * difference}
    found = finding("gap", "warning", values, CAUSES, _flags(evidence))
    return Match("overfit", found, margin=(difference - threshold) / threshold)


def _flags(evidence: Evidence) -> dict[str, str | None]:
    flags = {
        "stop": f"--patience={max(3, evidence.epochs // 10)}",
        "augment": remedies.augment(evidence),
        "dropout": remedies.more_dropout(evidence),
        "l2": remedies.more_l2(evidence),
        "smaller": remedies.width(evidence, 1 / 2),
    }
    if evidence.flags.get("patience", "0") != "0":
        del flags["stop"]
    return flags
