"""The volume under a frontier: by hand, and by counting random points."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.compression.search.hypervolume import gain, hypervolume


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


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_gain_is_the_difference_of_the_volumes(dimensions: int) -> None:
    generator = np.random.default_rng(dimensions)
    for _ in range(50):
        points, more = generator.uniform(0, 1.2, (5, dimensions)), generator.uniform(0, 1.2, dimensions)
        difference = hypervolume([*points, more], np.ones(dimensions)) - hypervolume(points, np.ones(dimensions))
        assert gain(points, more, np.ones(dimensions)) == pytest.approx(difference, abs=1e-12)
    assert gain([], [0.5] * dimensions, [1.0] * dimensions) == pytest.approx(0.5**dimensions)
