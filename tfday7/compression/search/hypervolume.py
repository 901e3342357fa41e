"""The volume that a frontier dominates: one number for how good a set of trade-offs is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

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


class Frontier:
    """What points leave free in front of a reference point, as boxes that do not overlap: tells gains of many at once.

    Args:
        points, reference: as of `hypervolume`.
    """

    def __init__(self, points: Sequence[Sequence[float]] | np.ndarray, reference: Sequence[float] | np.ndarray) -> None:
        limit = np.asarray(reference, float)
        known = np.asarray(points, float).reshape(-1, len(limit))
        boxes = np.array(list(_free(known[np.all(known < limit, axis=1)], limit)))
        self._lower, self._upper = boxes[..., 0], boxes[..., 1]  # (boxes, dimensions)

    def gains(self, more: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
        """Returns what each of some points alone would add to the volume: what of the free boxes it dominates.

        Args:
            more: (number, dimensions).

        Returns:
            (number,).
        """
        places = np.asarray(more, float).reshape(-1, self._lower.shape[1])
        shares = np.ones((len(places), len(self._lower)))
        for axis in range(places.shape[1]):
            low = np.maximum(self._lower[:, axis], places[:, axis, None])
            shares *= np.maximum(0.0, self._upper[:, axis] - low)
        return np.asarray(shares.sum(axis=1))


def _free(known: np.ndarray, limit: np.ndarray) -> Iterator[list[tuple[float, float]]]:
    """Yields boxes, as (lower, upper) of each dimension: slices along the last axis, cut into boxes of one less."""
    if len(limit) == 1:
        yield [(-np.inf, float(known.min(initial=limit[0])))]
        return
    known = _undominated(known)
    known = known[np.argsort(known[:, -1], kind="stable")]
    edges = [-np.inf, *known[:, -1], limit[-1]]
    for at, (low, high) in enumerate(itertools.pairwise(edges)):
        if low < high:
            for box in _free(known[:at, :-1], limit[:-1]):
                yield [*box, (low, high)]


def _undominated(points: np.ndarray) -> np.ndarray:
    """Returns the points that no other is as good as everywhere, each one once."""
    points = np.unique(points, axis=0)
    better = np.all(points[:, None] <= points[None], axis=2)  # Each is as good as itself.
    return points[better.sum(axis=0) == 1]


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
