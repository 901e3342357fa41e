"""A history alone as evidence: the curves that Keras or another program recorded, without the run they came from.

Names differ from program to program and values may be damaged; what is read around is noted, so that the diagnosis can
say what it did not see. `history_files` and `event_files` turn files into the columns that `evidence_of` takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.records import LARGEST
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.history import event_files, files

# Column -> metric as in `Evidence`, the first that there is decides; `*` stands for the name of an output.
METRICS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "r2_score": "r2_score",
    "r2": "r2_score",
    "f1_score": "f1_score",
    "f1": "f1_score",
    "auc": "auc",
    "*_accuracy": "accuracy",
    "*_acc": "accuracy",
}
BASELINES = {"r2_score": 0.0, "auc": 0.5}  # By their definitions; an accuracy's depends on the classes.
PERCENT = 1.5  # A share has no values above 1; a percentage that never exceeds this is no useful accuracy.
MISSING = ("", "na", "n/a", "none")  # What loggers write where an epoch has no such value; Keras's CSVLogger "NA".


def read(path: Path) -> Evidence:
    """Returns the evidence in a history file or in a folder of TensorBoard logs.

    Raises:
        UserError: it is neither, or it holds no loss.
    """
    try:
        columns = event_files.columns(path) if path.is_dir() else files.columns(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})", files.FORMATS) from error
    return evidence_of(columns, str(path))


def evidence_of(columns: Mapping[str, Sequence[Any]], source: str = "history") -> Evidence:
    """Returns the evidence in the columns of a history.

    Args:
        columns: name -> a value an epoch, as `History.history`; None, NaN and "nan" are no numbers, "" and "NA" not
            recorded.
        source: where it comes from, for errors.

    Raises:
        UserError: there is no loss, or what should be a number is none.
    """
    named: dict[str, Any] = {}
    for name, values in sorted(columns.items(), key=lambda item: _standard(str(item[0])) != item[0]):
        named.setdefault(_standard(str(name)), values)  # Keras's own name goes before others for the same.
    if "loss" not in named:
        held = ", ".join(str(name) for name in list(columns)[:8]) or "nothing"
        raise UserError(f"{source}: no training loss in it; it holds {held}", 'expected a column "loss"')
    loss = _numbers(named["loss"], f'{source}: "loss"')
    val_loss = _numbers(named.get("val_loss", []), f'{source}: "val_loss"')
    if np.isnan(val_loss).all():
        val_loss = val_loss[:0]  # Nothing was recorded of it.
    if np.isnan(loss[: len(val_loss) or None]).all():  # Of the epochs that both have.
        raise UserError(f"{source}: holds no epochs", "train first: python -m tfday7.train")
    notes: list[str] = []
    loss, val_loss = _aligned(loss, val_loss, notes)
    metric, column = _metric(named)
    train, validation = _scores(named, metric, column, source, notes)
    return Evidence(
        loss=loss,
        val_loss=val_loss,
        metric=metric,
        train_score=train,
        validation_score=validation,
        baseline=BASELINES.get(metric),
        kind="",
        task="regression" if metric == "r2_score" else "classification",
        stopped="finished" if np.isfinite(loss[-1]) else "nan",
        notes=tuple(dict.fromkeys(notes)),
    )


def _standard(name: str) -> str:
    """Returns Keras's name for a column: "Loss/validation", "valid_loss" and "eval_loss" are "val_loss"."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    plain = re.sub(r"^(.+)_(train|training|val|valid|validation)$", r"\2_\1", plain)
    return re.sub(r"^(valid|validation|eval)_", "val_", re.sub(r"^(train|training)_", "", plain))


def _numbers(values: Any, place: str) -> np.ndarray:
    """Returns float64 [epochs]; infinite where a value is no number that training can have, NaN where not recorded."""
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise UserError(f"{place}: expected a list with a number an epoch; got {_shown(values)}")
    try:
        numbers = np.array(values, np.float64)
        missing = np.zeros(numbers.shape, bool)
    except (TypeError, ValueError, OverflowError):  # A word among them, or an integer beyond every float.
        missing = np.array([isinstance(value, str) and value.strip().lower() in MISSING for value in values])
        numbers = np.array([_number(value, place) for value in values], np.float64)
    if numbers.ndim != 1:
        raise UserError(f"{place}: expected a number an epoch; got an array of shape {numbers.shape}")
    return np.where(missing, np.nan, np.where(np.abs(numbers) <= LARGEST, numbers, np.inf))


def _number(value: Any, place: str) -> float:
    if isinstance(value, str) and value.strip().lower() in MISSING:
        return np.nan
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return np.inf
    except (TypeError, ValueError):
        raise UserError(f"{place}: {_shown(value)} is no number") from None


def _aligned(loss: np.ndarray, val_loss: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns both curves at the same epochs, NaN where a value is no number; all of validation where there is none."""
    if len(val_loss) and len(loss) != len(val_loss):
        notes.append("lengths")
        loss, val_loss = (curve[: min(len(loss), len(val_loss))] for curve in (loss, val_loss))
    validated = bool(np.isfinite(val_loss).any())
    if np.isinf(loss).any() or np.isinf(val_loss).any():
        notes.append("not_finite")
    if not validated:
        val_loss = np.full(len(loss), np.inf)
    recorded = ~np.isnan(val_loss if validated else loss)
    if not recorded.all() or np.isnan(loss).any():
        notes.append("gaps")
    loss, val_loss = _filled(loss)[recorded], val_loss[recorded]
    # A loss that is no number once and a number later was recorded badly; diverged training does not come back.
    damaged = _back_later(loss) | _back_later(val_loss)
    loss, val_loss = (np.where(np.isfinite(curve), curve, np.nan)[~damaged] for curve in (loss, val_loss))
    return loss, val_loss


def _back_later(curve: np.ndarray) -> np.ndarray:
    """Returns where a curve is not finite, but finite again later."""
    finite = np.isfinite(curve)
    return ~finite & (finite[::-1].cumsum()[::-1] > 0)


def _filled(curve: np.ndarray) -> np.ndarray:
    """Returns the curve with what was not recorded put in between its neighbours."""
    rows, known = np.arange(len(curve)), ~np.isnan(curve)
    return np.interp(rows, rows[known], curve[known]) if known.any() else np.full(len(curve), np.inf)


def _metric(named: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the metric that decides and its column; the column is empty when there is none."""
    own = [name for name in dict.fromkeys(name.removeprefix("val_") for name in named) if not name.startswith("top_")]
    for pattern, metric in METRICS.items():
        for name in own:
            if name == pattern or (pattern.startswith("*") and name.endswith(pattern[1:])):
                return metric, name
    return "accuracy", ""


def _scores(
    named: Mapping[str, Any], metric: str, column: str, source: str, notes: list[str]
) -> tuple[float | None, float | None]:
    """Returns the metric on training and on validation examples in the last epoch; None where it was not recorded."""
    curves = [_numbers(named.get(name, []), f'{source}: "{name}"') for name in (column, f"val_{column}")]
    finite = [curve[np.isfinite(curve)] for curve in curves]
    values = np.concatenate(finite)
    divisor = 1.0
    if metric != "r2_score" and len(values):
        if values.min() < 0.0 or values.max() > 100.0 or 1.0 + 1e-6 < values.max() <= PERCENT:
            return None, None  # No share, whatever its name.
        if values.max() > PERCENT:
            notes.append("percentages")
            divisor = 100.0
    train, validation = (float(curve[-1]) / divisor if len(curve) else None for curve in finite)
    return train, validation


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:40] + "..."
