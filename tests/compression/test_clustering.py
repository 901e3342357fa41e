"""Clusters beside arithmetic and scikit-learn's k-means; zeros are neither made nor lost."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from tfday7.compression import clustering
from tfday7.compression.sparsity import Layout

DENSE = Layout("dense", (1,), (), (0,))
CONVOLUTION = Layout("convolution", (3,), (0, 1), (2,))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def squares(weight: np.ndarray, values: np.ndarray) -> float:
    return float(np.sum((weight.astype(np.float64) - values) ** 2))


@pytest.mark.parametrize("init", clustering.INITS)
def test_each_centroid_is_the_mean_of_what_is_nearest_to_it(init: str) -> None:
    weights = numbers(500)
    found = clustering.centroids(weights, 8, init)
    assert len(found) == 8
    assigned = np.argmin(np.abs(weights[:, None] - found), axis=1)
    assert np.array_equal(clustering.nearest(weights, found), assigned)
    np.testing.assert_allclose(found, [weights[assigned == i].mean() for i in range(len(found))], rtol=1e-5)


@pytest.mark.parametrize("init", clustering.INITS)
def test_the_error_is_near_to_the_best_of_many_starts(init: str) -> None:
    weights = numbers(300, 2)
    best = KMeans(16, n_init=20, random_state=0).fit(weights.reshape(-1, 1)).inertia_
    assert squares(weights, clustering.cluster(weights, 16, init).values) < 1.5 * best


def test_two_heaps_have_their_means() -> None:
    weight = np.array([[1.0, 1.5], [-3.0, -2.0], [2.0, 1.5]], np.float32)
    found = clustering.cluster(weight, 2)
    assert found.values.tolist() == [[1.5, 1.5], [-2.5, -2.5], [1.5, 1.5]]
    assert found.kept.zeros is None
    assert found.kept.clusters.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_few_different_values_stay_as_they_are() -> None:
    weight = np.array([[0.25, 0.5], [0.25, -1.0]], np.float32)
    assert np.array_equal(clustering.cluster(weight, 4).values, weight)


@pytest.mark.parametrize("init", clustering.INITS)
@pytest.mark.parametrize("layout", [None, DENSE])
def test_zeros_stay_and_no_other_weight_joins_them(init: str, layout: Layout | None) -> None:
    """A kernel whose weights are all near to 0, as in model-optimization#979, keeps all that it had."""
    weight = numbers(40, 3) * 1e-4
    zeros = np.arange(120).reshape(40, 3) % 2 == 0
    weight[zeros] = 0
    found = clustering.cluster(weight, 5, init, zeros, layout)
    assert np.array_equal(found.values == 0, zeros)
    assert np.array_equal(found.kept.zeros, zeros)
    assert clustering.different(found.values, layout) <= 5  # Zero is one of them.
    error = np.abs(found.values - weight)
    assert error.max() < np.abs(weight).max() / 2


def test_each_output_has_values_of_its_own() -> None:
    weight = numbers(3, 3, 5, 4)
    weight[..., 1] *= 100
    found = clustering.cluster(weight, 4, layout=CONVOLUTION)
    for output in range(4):
        alone = clustering.cluster(weight[..., output], 4)
        assert np.array_equal(found.values[..., output], alone.values)
    assert clustering.different(found.values) == 16
    assert clustering.different(found.values, CONVOLUTION) == 4
    outputs = [set(found.kept.clusters[..., output].ravel().tolist()) for output in range(4)]
    assert sum(len(each) for each in outputs) == len(set.union(*outputs)) == 16  # None shares a cluster with another.


def test_an_output_that_is_all_zero_stays_so() -> None:
    weight = numbers(10, 3)
    zeros = np.zeros((10, 3), bool)
    zeros[:, 1] = True
    weight[zeros] = 0
    found = clustering.cluster(weight, 4, zeros=zeros, layout=DENSE)
    assert not found.values[:, 1].any()
    assert clustering.different(found.values[:, 0]) == 4


def test_a_large_kernel_is_clustered_from_a_part_of_it_and_by_all_of_it() -> None:
    weight = numbers(400, 100)
    found = clustering.cluster(weight, 16)
    assert clustering.different(found.values) == 16
    means = [weight[found.kept.clusters == number].mean(dtype=np.float64) for number in range(16)]
    values = [np.unique(found.values[found.kept.clusters == number]) for number in range(16)]
    np.testing.assert_allclose(np.concatenate(values), means, rtol=1e-5)
