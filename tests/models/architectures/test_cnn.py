"""The small convolutional network's size, by arithmetic."""

from __future__ import annotations

import pytest

from tfday7.core.errors import UserError
from tfday7.data import Problem
from tfday7.models import ModelConfig, building


def _problem(*shape: int) -> Problem:
    return Problem("classification", "image", shape, 10, tuple("0123456789"))


def test_on_digits_it_has_85066_parameters() -> None:
    model = building.build(ModelConfig(model="cnn"), _problem(8, 8, 1))
    first = 3 * 3 * 1 * 32 + 32
    second = 3 * 3 * 32 * 64 + 64  # After the pool: 4x4, too small to be halved again.
    hidden = 4 * 4 * 64 * 64 + 64
    logits = 64 * 10 + 10
    assert model.count_params() == first + second + hidden + logits == 85_066
    assert 60_000 <= model.count_params() <= 100_000


@pytest.mark.parametrize(
    ("shape", "width", "depth", "sides"),
    [
        ((28, 28, 1), 4, 2, [14, 7]),
        ((32, 32, 3), 4, 3, [16, 8, 4]),
        ((8, 16, 1), 4, 2, [4, 4]),
        ((1, 1, 1), 2, 2, [1, 1]),
    ],
)
def test_images_are_halved_while_they_are_large_enough(
    shape: tuple[int, int, int], width: int, depth: int, sides: list[int]
) -> None:
    model = building.build(ModelConfig(model="cnn", width=width, depth=depth), _problem(*shape))
    entering = [shape[2], *(width * 2**i for i in range(depth))]
    expected = sum(3 * 3 * entering[i] * entering[i + 1] + entering[i + 1] for i in range(depth))
    rows, columns, channels = shape[0], shape[1], entering[-1]
    for side in sides:
        if min(rows, columns) >= 8:
            rows, columns = rows // 2, columns // 2
        assert min(rows, columns) == side
    expected += rows * columns * channels * 2 * width + 2 * width + (2 * width * 10 + 10)
    assert model.count_params() == expected


def test_doubling_without_end_is_refused_before_memory_runs_out() -> None:
    with pytest.raises(UserError, match="--width=32 and --depth=20 mean layers of more than 8,192 filters"):
        building.build(ModelConfig(model="cnn", depth=20), _problem(1, 1, 1))
