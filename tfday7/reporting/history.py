"""The curves of a run: read from metrics.jsonl, thinned to what a plot can show, described in numbers.

A hundred thousand epochs draw no better than a thousand points; so each stretch of epochs keeps its lowest and its
highest point, which keeps the outline, every spike and the minimum, and one gap if it has any.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.core.records import LARGEST
from tfday7.reporting.axes import LOG_SPAN
from tfday7.reporting.records import RunRecords, count, mapping, mappings, number, string

MAX_POINTS = 1000
METRICS = ("mean_score", "accuracy", "f1_score", "r2_score", "mae")
OVERFIT = "overfit"  # The finding whose best epoch is where to stop.


@dataclasses.dataclass(frozen=True)
class Curve:
    """One quantity over the epochs.

    Attributes:
        name: as in metrics.jsonl.
        epochs, values: float64 [n]; NaN where a value was not finite or beyond any axis.
    """

    name: str
    epochs: np.ndarray
    values: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """Its finite values."""
        return self.values[np.isfinite(self.values)]

    def at(self, epoch: int | None) -> float | None:
        """Returns the value of an epoch, or None where there is none."""
        found = self.values[self.epochs == epoch] if epoch is not None else self.values[:0]
        return float(found[0]) if len(found) and np.isfinite(found[0]) else None

    def thinned(self, keep: int | None = None, limit: int = MAX_POINTS) -> Curve:
        """Returns the curve with at most about `limit` points, among them its extremes and the epoch `keep`."""
        if len(self.values) <= limit:
            return self
        chosen = {0, len(self.values) - 1, *np.flatnonzero(self.epochs == keep).tolist()}
        for stretch in np.array_split(np.arange(len(self.values)), limit // 3):
            values = self.values[stretch]
            gaps = np.isnan(values)
            if gaps.any():
                chosen.add(int(stretch[gaps.argmax()]))
            if not gaps.all():
                chosen |= {int(stretch[np.nanargmin(values)]), int(stretch[np.nanargmax(values)])}
        index = np.array(sorted(chosen))
        return Curve(self.name, self.epochs[index], self.values[index])


@dataclasses.dataclass(frozen=True)
class History:
    """All curves of a run by name, and the epochs to mark, counted from 1.

    Attributes:
        curves: by the name of their quantity.
        best_epoch: whose weights were kept; None when no loss is finite.
        stop_epoch: after which the diagnosis would have stopped; None when it saw no overfitting.
        ended: why training stopped before its last epoch, "early" or "nan"; empty when it did not.
    """

    curves: dict[str, Curve]
    best_epoch: int | None
    stop_epoch: int | None = None
    ended: str = ""

    @property
    def lowest_epoch(self) -> int | None:
        """The epoch of the lowest validation loss."""
        return _lowest({name: curve for name, curve in self.curves.items() if name == "val_loss"})

    @property
    def metric(self) -> str:
        """The name of the metric beside the loss: the mean over several targets, or one of them; empty for none."""
        own = [name for name in self.curves if not name.startswith("val_")]
        return next((name for end in METRICS for name in own if name == end or name.endswith(f"_{end}")), "")

    def pair(self, name: str) -> list[Curve]:
        """Returns the curve on training and the one on validation examples, those of them that hold a number."""
        found = [self.curves[key] for key in (name, f"val_{name}") if key in self.curves]
        return [curve for curve in found if len(curve.finite)]


def history(records: RunRecords) -> History:
    """Returns the curves of a run."""
    lines = records.metrics
    epochs = np.array([number(line.get("epoch")) or i + 1 for i, line in enumerate(lines)], np.float64)
    names = dict.fromkeys(name for line in lines for name in line if name != "epoch")
    curves = {name: Curve(name, epochs, _values(lines, name)) for name in names}
    training = records.of_run("training")
    return History(
        curves,
        best_epoch=count(training.get("best_epoch")) or _lowest(curves),
        stop_epoch=_stop(records),
        ended=string(training.get("stopped")).removeprefix("finished"),
    )


def is_wide(curves: list[Curve]) -> bool:
    """Returns whether curves span more than two decades, all of it above zero, so that a log axis shows them better."""
    values = np.concatenate([curve.finite for curve in curves]) if curves else np.array([])
    return bool(len(values)) and bool(values.min() > 0) and bool(values.max() > LOG_SPAN * values.min())


def milestones(curves: History, limit: int = 12) -> list[int]:
    """Returns indices of at most about `limit` epochs for a table: evenly spaced, with the first, best and last."""
    epochs = next(iter(curves.curves.values())).epochs if curves.curves else np.array([])
    if not len(epochs):
        return []
    even = np.unique(np.linspace(0, len(epochs) - 1, min(limit, len(epochs))).round().astype(int))
    return sorted({*even.tolist(), *np.flatnonzero(epochs == curves.best_epoch).tolist()})


def _values(lines: list[dict[str, Any]], name: str) -> np.ndarray:
    found = [number(line.get(name)) for line in lines]
    return np.array([np.nan if value is None or abs(value) > LARGEST else value for value in found], np.float64)


def _stop(records: RunRecords) -> int | None:
    for finding in mappings(records.diagnosis.get("findings"), "diagnosis.json: findings"):
        if finding.get("id") == OVERFIT:
            return count(mapping(finding.get("evidence"), "diagnosis.json: evidence").get("best_epoch"))
    return None


def _lowest(curves: dict[str, Curve]) -> int | None:
    curve = curves.get("val_loss") or curves.get("loss")
    if curve is None or not len(curve.finite):
        return None
    return int(curve.epochs[np.nanargmin(curve.values)])
