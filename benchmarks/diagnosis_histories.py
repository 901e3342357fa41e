"""Does the overfit check find what people labelled overfit, and does stopping by the curve itself find the best epoch?

    python benchmarks/diagnosis_histories.py HISTORIES.jsonl.gz

The file holds a history a line, {"name", "overfit", "loss", "val_loss"}: for example the 419 simulated ones of
"Keeping Deep Learning Models in Check" (arXiv:2401.10359), 12 tasks, 44 labelled overfit. Names are
`training_log_TASK_modelM_RUN`, where TASK is the table that the network was trained on.

Verdicts: the check's constant is refitted on the other tasks for each task, then all decisions are pooled into one
macro-F1; beside it a threshold on last over lowest validation loss, refitted likewise. The form of the rule (which
quantities it takes) was chosen with all tasks in view. Intervals are bootstrapped over runs: the positives lie in three
of the twelve tasks, so that drawing tasks would often leave none.

Stopping: the validation loss is replayed epoch by epoch; how often the best epoch of the whole history is returned, and
how many epochs are trained after the one that is returned. Beside it Keras's EarlyStopping, best weights restored. The
constant for the rise is also refitted on the other tasks; those for waiting were chosen with all tasks in view.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.diagnosis.checks import overfit
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.history.stopping import MIN_RISE, MIN_WAIT, should_stop

TARGET = 0.98
DRAWS = 2000
PATIENCES = (10, 40, 80)
LOWEST = 1e-3  # What is less counts as this much, so that there is a middle.
RISES = (0.001, 0.002, 0.003, 0.005, 0.01)  # Candidates for the constant of `should_stop`.


def measure(path: Path) -> dict[str, Any]:
    """Returns the figures as plain JSON values. Raises UserError when the file holds no labelled histories."""
    histories = load(path)
    labels = np.array([history["overfit"] for history in histories])
    tasks = np.array([task_of(history["name"]) for history in histories])
    turns = [overfit.turn_of(Evidence(history["loss"], history["val_loss"])) for history in histories]
    verdicts = {
        "tfday7": judged(
            np.array([turn.divergence for turn in turns]), labels, tasks, np.array(list(map(rose, turns)))
        ),
        "one_threshold": judged(np.array([ratio(history) for history in histories]), labels, tasks),
    }
    return {
        "file": path.name,
        "histories": len(histories),
        "tasks": len(set(tasks)),
        "overfit": int(labels.sum()),
        "target_macro_f1": TARGET,
        "verdicts": verdicts,
        "stopping": stopping([history["val_loss"] for history in histories], labels, tasks),
    }


def load(path: Path) -> list[dict[str, Any]]:
    """Returns the histories of a JSON-lines file, packed with gzip or not; curves as float64 [epochs]."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
            records = [json.loads(line) for line in stream]
        curves, needed = ("loss", "val_loss"), ("name", "overfit", "loss", "val_loss")
        if not records or any(name not in record for record in records for name in needed):
            raise ValueError(f"expected {', '.join(needed)} in each line")
        return [{**record, **{name: np.array(record[name], np.float64) for name in curves}} for record in records]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: no labelled histories ({error})") from error


def task_of(name: str) -> str:
    """Returns the table's name: "gene" of "training_log_gene_model5_3"."""
    return name.removeprefix("training_log_").rsplit("_model", 1)[0]


def rose(turn: overfit.Turn) -> bool:
    """Returns whether the fixed conditions of the check hold; its fitted constant is for `turn.divergence`."""
    return turn.rise > overfit.MAX_RISE - 1 and turn.last > turn.lowest + overfit.MIN_RISE


def ratio(history: dict[str, Any]) -> float:
    """Returns last over lowest validation loss, less 1."""
    return float(history["val_loss"][-1] / history["val_loss"].min() - 1)


def judged(
    values: np.ndarray, labels: np.ndarray, tasks: np.ndarray, allowed: np.ndarray | bool = True
) -> dict[str, Any]:
    """Returns the pooled decisions, each with a threshold that never saw its task; only what is `allowed` alarms."""
    thresholds = {task: fitted(values[tasks != task], labels[tasks != task]) for task in sorted(set(tasks))}
    found = (values > np.array([thresholds[task] for task in tasks])) & allowed
    generator = np.random.default_rng(0)
    draws = [generator.integers(len(labels), size=len(labels)) for _ in range(DRAWS)]
    low, high = np.quantile([macro_f1(labels[drawn], found[drawn]) for drawn in draws], [0.025, 0.975])
    return {
        "macro_f1": macro_f1(labels, found),
        "interval": [float(low), float(high)],
        "confusion": {
            "true_positive": int((found & labels).sum()),
            "false_positive": int((found & ~labels).sum()),
            "false_negative": int((~found & labels).sum()),
            "true_negative": int((~found & ~labels).sum()),
        },
        "thresholds": {task: round(value, 4) for task, value in thresholds.items()},
        "threshold_on_all": round(fitted(values, labels), 4),
    }


def fitted(values: np.ndarray, labels: np.ndarray) -> float:
    """Returns the threshold of the highest macro-F1; of several, the middle of their range on a logarithmic axis."""
    distinct = np.unique(np.maximum(values, LOWEST))
    candidates = np.sqrt(distinct[:-1] * distinct[1:])
    scores = np.array([macro_f1(labels, values > candidate) for candidate in candidates])
    best = candidates[scores == scores.max()]
    return float(np.sqrt(best[0] * best[-1]))


def macro_f1(labels: np.ndarray, found: np.ndarray) -> float:
    """Returns the mean of the F1 of both classes."""
    scores = [2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in ((labels, found), (~labels, ~found))]
    return float(np.mean(scores))


def stopping(curves: list[np.ndarray], labels: np.ndarray, tasks: np.ndarray) -> dict[str, Any]:
    """Returns how each rule for stopping does on the overfit histories and on all."""
    ours = {rise: np.array([replayed(curve, rise) for curve in curves]) for rise in RISES}
    keras = {patience: np.array([with_patience(curve, patience) for curve in curves]) for patience in PATIENCES}
    best = np.array([curve.argmin() for curve in curves])
    refitted = np.zeros_like(ours[MIN_RISE])
    chosen = {}
    for task in sorted(set(tasks)):
        others = labels & (tasks != task)
        chosen[task] = rise_for(ours, keras[max(PATIENCES)], best, others)
        refitted[tasks == task] = ours[chosen[task]][tasks == task]
    rules = {"tfday7": ours[MIN_RISE], "tfday7_refitted": refitted}
    rules |= {f"patience_{patience}": ended for patience, ended in keras.items()}
    rows = {
        name: {"overfit": outcome(ended[labels], best[labels]), "all": outcome(ended, best)}
        for name, ended in rules.items()
    }
    return {"rules": rows, "min_rise": MIN_RISE, "min_rise_refitted": chosen}


def rise_for(ours: dict[float, np.ndarray], keras: np.ndarray, best: np.ndarray, chosen: np.ndarray) -> float:
    """Returns the smallest rise with which the best epoch is returned as often as with the longest patience."""
    wanted = (keras[chosen, 0] == best[chosen]).mean()
    enough = [rise for rise, ended in ours.items() if (ended[chosen, 0] == best[chosen]).mean() >= wanted]
    return min(enough, default=max(RISES))


def outcome(ended: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """Returns the figures of one rule.

    Args:
        ended: int [histories, 2]: index of the epoch returned, and of the last one trained.
        best: index of the best epoch of each whole history.
    """
    return {
        "best_returned": float((ended[:, 0] == best).mean()),
        "median_delay": float(np.median(ended[:, 1] - ended[:, 0])),
        "mean_epochs": float(ended[:, 1].mean() + 1),
    }


def replayed(curve: np.ndarray, min_rise: float) -> tuple[int, int]:
    """Returns index of the epoch that `should_stop` returns, and of the last one trained."""
    return _replay(curve, MIN_WAIT, lambda epoch, _: should_stop(curve[: epoch + 1], min_rise))


def with_patience(curve: np.ndarray, patience: int) -> tuple[int, int]:
    """Returns the same for Keras: it stops when so many epochs in a row brought no new minimum."""
    return _replay(curve, 0, lambda epoch, best: epoch - best >= patience)


def _replay(curve: np.ndarray, first: int, stop: Callable[[int, int], bool]) -> tuple[int, int]:
    lowest = np.minimum.accumulate(curve)
    best = 0
    for epoch in range(len(curve)):
        best = epoch if epoch and curve[epoch] < lowest[epoch - 1] else best
        if epoch >= first and best < epoch and stop(epoch, best):
            return best, epoch
    return best, len(curve) - 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    json.dump(measure(Path(sys.argv[1])), sys.stdout, indent=2)
