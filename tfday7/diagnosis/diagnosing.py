"""Runs every check over the evidence and joins what they found into one verdict."""

from __future__ import annotations

import math

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import DIAGNOSIS, METRICS, RunFolder
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, from_run
from tfday7.diagnosis.measures import learned_nothing
from tfday7.diagnosis.records import Diagnosis, Finding

# Causes that were measured, in the order in which they explain each other: data before the model's start, both before
# what training did to it. Dead units after a rate of 10 are the rate's doing.
EXPLAINS = (
    "constant_target", "codes", "leakage", "shift", "labels", "output_activation", "zero_weights", "input_scale",
    "initialization", "frozen", "over_regularized", "vanishing", "rate_high", "diverged", "dead_units",
    "saturated", "rate_low", "batchnorm", "validation_small",
)  # fmt: skip
# What is only seen in curves and scores: the graver verdict wins, as what is broken can neither overfit nor underfit.
GRAVITY = ("broken", "unstable", "underfit", "overfit")
# Of the epochs of a run: what is no better than guessing by then has hardly ever become so.
HOPELESS_SHARE = 0.3
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
    """Returns the verdict on the evidence: that of the first finding that has one.

    The confidence grows from 0.5 at the threshold to 1 at twice its distance; it is not a calibrated probability.
    """
    matches = ranked(evidence)
    deciding = [match for match in matches if match.verdict]
    findings = [match.finding for match in matches]
    if not deciding:
        if evidence.epochs < MIN_EPOCHS or evidence.train_score is None:
            return Diagnosis("undetermined", 0.0, findings)
        return Diagnosis("good_fit", min(MAX_GOOD_FIT_CONFIDENCE, 0.5 + evidence.epochs / (8 * MIN_EPOCHS)), findings)
    confidence = 0.5 + 0.5 * min(1.0, max(0.0, deciding[0].margin))
    return Diagnosis(deciding[0].verdict, confidence, findings)


def ranked(evidence: Evidence) -> list[Match]:
    """Returns what the checks found, the deciding one first: what explains the others, then what has a verdict."""
    found = [match for name in CHECKS.names() if (match := CHECKS.get(name)(evidence)) is not None]
    return sorted(found, key=lambda match: (not match.verdict, _place(match), -match.margin))


def _place(match: Match) -> int:
    """Returns where a finding stands: by its own place in EXPLAINS, and all others after these, by gravity."""
    if match.finding.id in EXPLAINS:
        return EXPLAINS.index(match.finding.id)
    return len(EXPLAINS) + (GRAVITY.index(match.verdict) if match.verdict in GRAVITY else len(GRAVITY))


def judge_running(evidence: Evidence, epochs: int) -> Finding | None:
    """Returns what makes a run hopeless that is still training, or None; `epochs` are those of the whole run."""
    if evidence.epochs < max(MIN_EPOCHS, math.ceil(HOPELESS_SHARE * epochs)):
        return None
    found = [match for match in ranked(evidence) if match.verdict == "broken"]
    return found[0].finding if found and learned_nothing(evidence) else None
