"""The volume under a frontier: by hand, and by counting random points."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.compression.search.hypervolume import Frontier, hypervolume


def test_boxes_by_hand() -> None:
    assert hypervolume([(1, 1)], (3, 4)) == 6
    assert hypervolume([(1, 3), (2, 1)], (3, 4)) == 2 * 1 + 1 * 3 - 1  # Two boxes less what they share.
    assert hypervolume([(0, 0, 0)], (1, 2, 3)) == 6
    assert hypervolume([(0, 0, 0), (0, 0, 0), (0.5, 1, 1)], (1, 2, 3)) == 6


def test_nothing_is_gained_outside_of_the_reference() -> None:
    assert hypervolume([], (1, 1)) == 0
    assert hypervolume([(1, 0), (2, -5)], (1, 1)) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_it_is_the_share_of_random_points_that_are_dominated(dimensions: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = generator.uniform(size=(6, dimensions))
    thrown = generator.uniform(size=(100_000, dimensions))
    dominated = np.zeros(len(thrown), bool)
    for one in points:
        dominated |= (thrown >= one).all(axis=1)
    assert hypervolume(points, np.ones(dimensions)) == pytest.approx(dominated.mean(), abs=0.006)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_gains_are_the_differences_of_the_volumes(dimensions: int) -> None:
    generator = np.random.default_rng(dimensions)
    for number in range(40):
        points = generator.integers(-1, 8, (number % 12, dimensions)) / 6.0  # Equals, and some outside, included.
        more = generator.integers(-1, 8, (20, dimensions)) / 6.0
        limit = np.ones(dimensions)
        differences = [hypervolume([*points, one], limit) - hypervolume(points, limit) for one in more]
        np.testing.assert_allclose(Frontier(points, limit).gains(more), differences, atol=1e-12)
    assert Frontier([], [1.0] * dimensions).gains([0.5] * dimensions) == pytest.approx(0.5**dimensions)
