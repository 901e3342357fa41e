"""Runs every check over the evidence and joins what they found into one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import DIAGNOSIS, METRICS, RunFolder
from tfday7.diagnosis import histories, unseen
from tfday7.diagnosis.check import CHECKS
from tfday7.diagnosis.evidence import Evidence, from_run
from tfday7.diagnosis.records import Diagnosis

# The graver verdict wins: what is broken can neither overfit nor underfit.
GRAVITY = ("broken", "unstable", "underfit", "overfit")
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
    """Returns the verdict on the evidence.

    The confidence grows from 0.5 at the threshold to 1 at twice its distance; it is not a calibrated probability.
    """
    matches = [match for name in CHECKS.names() if (match := CHECKS.get(name)(evidence)) is not None]
    matches.sort(key=lambda match: (GRAVITY.index(match.verdict), -match.margin))
    missing = unseen.of(evidence)
    if not matches:
        if unseen.decides(evidence):
            return Diagnosis("undetermined", 0.0, [], missing)
        confidence = min(MAX_GOOD_FIT_CONFIDENCE, 0.5 + evidence.epochs / (8 * MIN_EPOCHS))
        return Diagnosis("good_fit", confidence, [], missing)
    confidence = 0.5 + 0.5 * min(1.0, max(0.0, matches[0].margin))
    return Diagnosis(matches[0].verdict, confidence, [match.finding for match in matches], missing)
