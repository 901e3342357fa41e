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
    known = np.asarray([one for one in points if np.all(np.asarray(one, float) < limit)], float)
    if not len(known):
        return 0.0
    if len(limit) == 1:
        return float(limit[0] - known.min())
    order = np.argsort(known[:, -1], kind="stable")
    known = known[order]
    edges = [*known[1:, -1], limit[-1]]
    volume = 0.0
    for number, (one, edge) in enumerate(zip(known, edges, strict=True)):
        thickness = edge - one[-1]
        if thickness > 0:
            volume += thickness * hypervolume(_frontier(known[: number + 1, :-1]), limit[:-1])
    return float(volume)


def _frontier(points: np.ndarray) -> np.ndarray:
    """Returns the points that no other one dominates; equal ones once."""
    unlike = np.unique(points, axis=0)
    beaten = [
        any(np.all(other <= one) and np.any(other < one) for other in unlike)
        for one in unlike
    ]  # fmt: skip
    return unlike[~np.array(beaten)]
