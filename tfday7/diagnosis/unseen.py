"""What a diagnosis could not see: each thing that was not recorded, so that silence is not taken for health."""

from __future__ import annotations

import numpy as np

from tfday7.core.texts import text
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import Advice

MIN_EPOCHS = 5  # Curves with fewer points do not show whether they turn.
# Without the score of guessing: half of the way to perfect from two equal classes, which is where underfitting ends.
FINE_SCORE = 0.75


def of(evidence: Evidence) -> list[Advice]:
    """Returns what could not be seen, the gravest first."""
    names = dict.fromkeys([*_undecided(evidence), *evidence.notes])
    if evidence.train_score is not None and evidence.baseline is None:
        names["no_baseline"] = None
    if evidence.train_score is not None and evidence.validation_score is not None and not evidence.validation_examples:
        names["validation_size"] = None
    if not evidence.health.probes:
        names["no_layers"] = None
    if evidence.health.data is None:
        names["no_data"] = None
    return [Advice(f"diagnosis.unseen.{name}", text(f"diagnosis.unseen.{name}")) for name in names]


def decides(evidence: Evidence) -> bool:
    """Returns whether so much could not be seen that a run without findings may well be a bad one."""
    return bool(_undecided(evidence))


def _undecided(evidence: Evidence) -> list[str]:
    """Returns the names of what a good fit cannot be told without."""
    names = []
    if evidence.epochs < MIN_EPOCHS:
        names.append("few_epochs")
    if not np.isfinite(evidence.val_loss).any():
        names.append("no_validation")
    elif not np.isfinite(np.concatenate([evidence.loss, evidence.val_loss])).all():
        names.append("not_finite")
    if evidence.train_score is None:
        names.append("no_scores")
    elif evidence.baseline is None and evidence.train_score < FINE_SCORE:
        names.append("no_baseline")
    if evidence.epochs > 1 and np.ptp(evidence.loss) == 0 and not np.ptp(evidence.val_loss) > 0:  # NaN is not more.
        names.append("constant")
    return names
