"""Runs every check over the evidence and joins what they found into one verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import DIAGNOSIS, METRICS, RunFolder
from tfday7.diagnosis import unseen
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence, from_run
from tfday7.diagnosis.history import histories
from tfday7.diagnosis.measures import learned_nothing, mean_recall, weighs_alike
from tfday7.diagnosis.records import Diagnosis, Finding

# Causes that were measured, in the order in which they explain each other: data before the model's start, both before
# what training did to it. Dead units after a rate of 10 are the rate's doing.
EXPLAINS = (
    "constant_target", "codes", "leakage", "shift", "imbalance", "outliers", "labels", "output_activation",
    "zero_weights", "input_scale", "initialization", "frozen", "over_regularized", "vanishing", "rate_high", "diverged",
    "dead_units", "saturated", "rate_low", "batchnorm", "validation_small",
)  # fmt: skip
# What is only seen in curves and scores: the graver verdict wins, as what is broken can neither overfit nor underfit.
GRAVITY = ("broken", "unstable", "underfit", "overfit")
# Of the epochs of a run: what is no better than guessing by then has hardly ever become so.
HOPELESS_SHARE = 0.3
MIN_EPOCHS = unseen.MIN_EPOCHS
MAX_GOOD_FIT_CONFIDENCE = 0.9  # That no check found anything is no proof, however long the run was.


def diagnose(run: RunFolder | Path | str | Mapping[str, Any] | Any) -> Diagnosis:
    """Judges a run, or a history alone; of a run folder, it writes diagnosis.json there.

    Args:
        run: a run folder; a history file (CSV, JSON, JSON-lines); a folder of TensorBoard logs; the dict of Keras's
            `History.history`, or the `History` itself.

    Raises:
        UserError: it is none of these, it holds no epochs or no loss, or its records are damaged.
    """
    folder = _run_folder(run)
    if folder is None:
        return judge(evidence_of(run))
    evidence = from_run(folder)
    if not evidence.epochs:
        raise UserError(f"{folder / METRICS} holds no epochs", "train first: python -m tfday7.train")
    diagnosis = judge(evidence)
    files.write_json(folder / DIAGNOSIS, diagnosis.to_json())
    return diagnosis


def evidence_of(history: Path | str | Mapping[str, Any] | Any) -> Evidence:
    """Returns the evidence in a history, given as for `diagnose`. Raises UserError as `diagnose` does."""
    if isinstance(history, str | Path):
        return histories.read(Path(history))
    columns = getattr(history, "history", history)
    if not isinstance(columns, Mapping):
        hint = 'for example the dict of History.history: {"loss": [...], "val_loss": [...]}'
        raise UserError(f"expected a history, got {type(history).__name__}", hint)
    return histories.evidence_of(columns)


def _run_folder(run: Any) -> RunFolder | None:
    """Returns the run folder that is meant, or None when it is a history."""
    if isinstance(run, RunFolder) or not isinstance(run, str | Path) or not Path(run).is_dir():
        return run if isinstance(run, RunFolder) else None
    folder = RunFolder(Path(run))
    return folder if folder.exists() or (folder / METRICS).exists() else None


def judge(evidence: Evidence) -> Diagnosis:
    """Returns the verdict on the evidence: that of the first finding that has one.

    The confidence grows from 0.5 at the threshold to 1 at twice its distance; it is not a calibrated probability.
    """
    matches = ranked(evidence)
    deciding = [match for match in matches if match.verdict]
    findings = [match.finding for match in matches]
    missing = unseen.of(evidence)
    if not deciding:
        if unseen.decides(evidence):
            return Diagnosis("undetermined", 0.0, findings, missing)
        confidence = min(MAX_GOOD_FIT_CONFIDENCE, 0.5 + evidence.epochs / (8 * MIN_EPOCHS))
        return Diagnosis("good_fit", confidence, findings, missing)
    confidence = 0.5 + 0.5 * min(1.0, max(0.0, deciding[0].margin))
    return Diagnosis(deciding[0].verdict, confidence, findings, missing)


def ranked(evidence: Evidence) -> list[Match]:
    """Returns what the checks found, what explains others first; the first that has a verdict decides."""
    found = [match for name in CHECKS.names() if (match := CHECKS.get(name)(evidence)) is not None]
    return sorted(found, key=lambda match: (_place(match), -match.margin))


def _place(match: Match) -> int:
    """Returns where a finding stands: by its own place in EXPLAINS, and all others after these, by gravity."""
    if match.finding.id in EXPLAINS:
        return EXPLAINS.index(match.finding.id)
    return len(EXPLAINS) + (GRAVITY.index(match.verdict) if match.verdict in GRAVITY else len(GRAVITY))


def judge_running(evidence: Evidence, epochs: int) -> Finding | None:
    """Returns what makes a run hopeless that is still training, or None; `epochs` are those of the whole run.

    Where classes weigh alike, accuracy says little, and recall is not known yet: nothing is said.
    """
    if weighs_alike(evidence) and mean_recall(evidence) is None:
        return None
    if evidence.epochs < max(MIN_EPOCHS, math.ceil(HOPELESS_SHARE * epochs)):
        return None
    found = [match for match in ranked(evidence) if match.verdict == "broken"]
    return found[0].finding if found and learned_nothing(evidence) else None
