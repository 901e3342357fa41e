"""The volume that a frontier dominates: one number for how good a set of trade-offs is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def hypervolume(points: Sequence[Sequence[float]] | np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Returns the volume between a reference point and all points that are better than it, less being better.

    Computed by slices along the last axis: exact, and fast enough for some hundred points in three dimensions.

    Args:
        points: (number, dimensions); those not below the reference everywhere add nothing.
        reference: the worst value of each dimension.

    Source: E. Zitzler and L. Thiele, Multiobjective optimization using evolutionary algorithms, PPSN V, 1998.
    """
    limit = np.asarray(reference, float)
    known = np.asarray(points, float).reshape(-1, len(limit))
    return _volume(known[np.all(known < limit, axis=1)], limit)


def gain(
    points: Sequence[Sequence[float]] | np.ndarray, more: Sequence[float], reference: Sequence[float] | np.ndarray
) -> float:
    """Returns what one more point adds to the volume: its box, less what the others already dominate of it.

    Args:
        points, reference: as of `hypervolume`.
        more: (dimensions,).
    """
    limit, one = np.asarray(reference, float), np.asarray(more, float)
    known = np.asarray(points, float).reshape(-1, len(limit))
    if np.any(one >= limit) or np.any(np.all(known <= one, axis=1)):
        return 0.0
    return float(np.prod(limit - one)) - hypervolume(np.maximum(known, one), limit)


def _volume(known: np.ndarray, limit: np.ndarray) -> float:
    if not len(known):
        return 0.0
    known = known[np.argsort(known[:, -1], kind="stable")]
    thick = np.diff(known[:, -1], append=limit[-1])
    if len(limit) == 1:
        return float(thick.sum())
    if len(limit) == 2:
        return float(np.sum(thick * (limit[0] - np.minimum.accumulate(known[:, 0]))))
    return float(sum(each * _volume(known[: at + 1, :-1], limit[:-1]) for at, each in enumerate(thick) if each > 0))
