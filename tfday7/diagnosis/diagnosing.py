"""Runs every check over the evidence and joins what they found into one verdict."""

from __future__ import annotations

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import DIAGNOSIS, METRICS, RunFolder
from tfday7.diagnosis.check import CHECKS
from tfday7.diagnosis.evidence import Evidence, from_run
from tfday7.diagnosis.records import Diagnosis

# The graver verdict wins: what is broken can neither overfit nor underfit.
GRAVITY = ("broken", "unstable", "underfit", "overfit")
MIN_EPOCHS = 5  # Curves with fewer points do not show whether they turn.
MAX_GOOD_FIT_CONFIDENCE = 0.9  # That no check found anything is no proof, however long the run was.


def diagnose(folder: RunFolder) -> Diagnosis:
    """Judges a run by the records in its folder and writes diagnosis.json there.

    Raises:
        UserError: the folder holds no metrics, or its records are damaged.
    """
    evidence = from_run(folder)
    if not evidence.epochs:
        raise UserError(f"{folder / METRICS} holds no epochs", "train first: python -m tfday7.train")
    diagnosis = judge(evidence)
    files.write_json(folder / DIAGNOSIS, diagnosis.to_json())
    return diagnosis


def judge(evidence: Evidence) -> Diagnosis:
    """Returns the verdict on the evidence.

    The confidence grows from 0.5 at the threshold to 1 at twice its distance; it is not a calibrated probability.
    """
    matches = [match for name in CHECKS.names() if (match := CHECKS.get(name)(evidence)) is not None]
    matches.sort(key=lambda match: (GRAVITY.index(match.verdict), -match.margin))
    if not matches:
        if evidence.epochs < MIN_EPOCHS or evidence.train_score is None:
            return Diagnosis("undetermined", 0.0, [])
        return Diagnosis("good_fit", min(MAX_GOOD_FIT_CONFIDENCE, 0.5 + evidence.epochs / (8 * MIN_EPOCHS)), [])
    confidence = 0.5 + 0.5 * min(1.0, max(0.0, matches[0].margin))
    return Diagnosis(matches[0].verdict, confidence, [match.finding for match in matches])
