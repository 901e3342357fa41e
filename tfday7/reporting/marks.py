"""What is marked on learning curves: the minimum, where to stop, where training ended, and the gap at the end."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfday7.core.units import format_number
from tfday7.reporting.history import Curve, History
from tfday7.reporting.words import Words


@dataclasses.dataclass(frozen=True)
class Mark:
    """An epoch that is marked.

    Attributes:
        look: "minimum" (a ring on the validation curve), "stop" or "ended" (upright lines).
        epoch: counted from 1.
        name: for the legend; what screen readers say, too.
    """

    look: str
    epoch: int
    name: str


@dataclasses.dataclass(frozen=True)
class Gap:
    """What lies between the two curves, from an epoch on.

    Attributes:
        epochs, low, high: float64 [n]; empty where the curves share fewer than two epochs.
        name: for the legend.
    """

    epochs: np.ndarray
    low: np.ndarray
    high: np.ndarray
    name: str


def marks(name: str, pair: list[Curve], curves: History, words: Words) -> list[Mark]:
    """Returns the epochs to mark on the curves of a quantity, beside the best one."""
    last = int(max(curve.epochs[-1] for curve in pair))
    found = []
    if name == "loss" and curves.lowest_epoch not in (None, curves.best_epoch):
        found.append(("minimum", curves.lowest_epoch))
    if curves.stop_epoch is not None and 0 < curves.stop_epoch < last:
        found.append(("stop", curves.stop_epoch))
    if curves.ended:
        found.append(("ended", last))
    return [Mark(look, epoch, words(f"legend.{look}", epoch=epoch)) for look, epoch in found if epoch is not None]


def best_name(curves: History, name: str, words: Words) -> str:
    """Returns the legend of the best epoch, which mostly is that of the lowest validation loss, too."""
    both = name == "loss" and curves.best_epoch == curves.lowest_epoch
    return words("legend.best_lowest" if both else "legend.best", epoch=curves.best_epoch)


def gap(pair: list[Curve], curves: History, words: Words) -> Gap | None:
    """Returns the gap between training and validation from the best epoch on; None where one of them is missing."""
    if len(pair) < 2:
        return None
    train, validation = pair
    known = np.isfinite(train.values) & np.isfinite(validation.values)  # Curves of one history share their epochs.
    if not known.any():
        return None
    end = np.flatnonzero(known)[-1]
    size = abs(train.values[end] - validation.values[end])
    later = known & (train.epochs >= min(curves.best_epoch or 0, train.epochs[end]))
    low, high = np.minimum(train.values, validation.values), np.maximum(train.values, validation.values)
    chosen = Curve("gap", train.epochs[later], (high - low)[later])
    kept = np.isin(train.epochs, chosen.thinned().epochs)
    return Gap(train.epochs[kept], low[kept], high[kept], words("legend.gap", size=format_number(size)))
