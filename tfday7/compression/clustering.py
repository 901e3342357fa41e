"""Few different values: which weight belongs to which, by k-means on the line.

The centroids start where TFMOT lets them start (k-means++, evenly spaced, or by density), and Lloyd's algorithm moves
them: in one dimension a cluster is an interval, so a pass is a binary search in the sorted weights. Zeros that pruning
has made are one of the values, and no other weight may become zero by it: nothing is zeroed because it is near to 0,
which is what TFMOT's sparsity-preserving clustering does to small kernels (model-optimization#979).

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.compression.constraints import Kept
from tfday7.compression.sparsity import Layout
from tfday7.core.frameworks import tf

INITS = ("kmeans++", "linear", "density")
MAX_PASSES = 100
MOST_FOR_INIT = 20_000  # Weights that the first centroids are chosen from: k-means++ looks at all for each centroid.
_TFMOT_NAMES = {"kmeans++": "KMEANS_PLUS_PLUS", "linear": "LINEAR", "density": "DENSITY_BASED"}


@dataclasses.dataclass(frozen=True, eq=False)
class Clustered:
    """A weight with few values.

    Attributes:
        values: float32 of the weight's shape.
        kept: its clusters, and its zeros.
    """

    values: np.ndarray
    kept: Kept


def cluster(
    weight: np.ndarray,
    count: int,
    init: str = "kmeans++",
    zeros: np.ndarray | None = None,
    layout: Layout | None = None,
) -> Clustered:
    """Returns a weight in which each value is the mean of the weights that it stands for.

    Args:
        weight: float32.
        count: the most values that are different; zero is one of them where there are `zeros`.
        init: of the centroids, one of `INITS`.
        zeros: bool of the weight's shape: what is zero and stays so. None for no such weights.
        layout: cluster each output by itself, with `count` values each; None for the kernel as a whole.
    """
    zeros = np.zeros(weight.shape, bool) if zeros is None else zeros
    groups: np.ndarray = np.arange(weight.size, dtype=np.int32).reshape(1, -1)
    if layout is not None and layout.outputs:
        indices = np.arange(weight.size, dtype=np.int32).reshape(weight.shape)
        groups = indices.transpose(layout.order).reshape(layout.sizes(weight.shape)[0], -1)
    flat, gone = weight.reshape(-1).astype(np.float32), zeros.reshape(-1)
    values, assigned, first = np.zeros_like(flat), np.zeros(flat.size, np.int32), 0
    for group in groups:
        living = group[~gone[group]]
        if not living.size:
            continue
        own = count - 1 if len(living) < len(group) else count
        numbers = nearest(flat[living], centroids(flat[living], own, init))
        _, numbers = np.unique(numbers, return_inverse=True)
        means = np.bincount(numbers, flat[living].astype(np.float64)) / np.bincount(numbers)
        values[living], assigned[living] = means[numbers], numbers + first
        first += len(means)
    kept = Kept(zeros if zeros.any() else None, assigned.reshape(weight.shape))
    return Clustered(values.reshape(weight.shape), kept)


def centroids(weights: np.ndarray, count: int, init: str) -> np.ndarray:
    """Returns at most `count` centroids, sorted, such that each is the mean of the weights that are nearest to it.

    Args:
        weights: float32 [n], at least one.
        count: at least 1.
        init: one of `INITS`.
    """
    different = np.unique(weights)
    if len(different) <= count:
        return different.astype(np.float64)
    ordered = np.sort(weights).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    found = np.unique(_start(ordered.astype(np.float32), count, init).astype(np.float64))
    for _ in range(MAX_PASSES):
        edges = np.searchsorted(ordered, (found[1:] + found[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(ordered)]])
        sizes = np.diff(edges)
        moved = np.diff(sums[edges])[sizes > 0] / sizes[sizes > 0]
        if len(moved) < count:  # One that nothing is near to begins again where the error is largest.
            far = np.argmax(np.abs(ordered - moved[nearest(ordered, moved)]))
            moved = np.unique(np.append(moved, ordered[far]))
        if np.array_equal(moved, found):
            break
        found = moved
    return found


def nearest(weights: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns the index of the nearest of sorted centroids, int [n]."""
    return np.searchsorted((found[1:] + found[:-1]) / 2, weights.astype(np.float64))


def different(values: np.ndarray, layout: Layout | None = None) -> int:
    """Returns how many different values a weight has; with a layout, the most that one of its outputs has."""
    if layout is None or not layout.outputs:
        return len(np.unique(values))
    rows = values.transpose(layout.order).reshape(layout.sizes(values.shape)[0], -1)
    return max(len(np.unique(row)) for row in rows)


def _start(ordered: np.ndarray, count: int, init: str) -> np.ndarray:
    from tensorflow_model_optimization.python.core.clustering.keras import cluster_config, clustering_centroids

    if len(ordered) > MOST_FOR_INIT:
        places = np.linspace(0, len(ordered) - 1, MOST_FOR_INIT).round().astype(int)
        ordered = ordered[places]
    kind = cluster_config.CentroidInitialization[_TFMOT_NAMES[init]]
    factory: Any = clustering_centroids.CentroidsInitializerFactory
    largest = np.max(np.abs(ordered))  # By density, TFMOT adds 0.01 at the ends, whatever size the weights have.
    # Per tensor, and without zeros: both are seen to here.
    start = factory.get_centroid_initializer(kind)(tf.constant(ordered / largest), count, False)
    return start.get_cluster_centroids().numpy() * largest
