"""The multilayer perceptron's size, by arithmetic."""

from __future__ import annotations

import pytest

from tfday7.data import Problem
from tfday7.models import ModelConfig, building


@pytest.mark.parametrize(
    ("shape", "width", "depth", "expected"),
    [
        ((8, 8, 1), None, None, (64 * 128 + 128) + (128 * 128 + 128) + (128 * 10 + 10)),
        ((7,), 16, 1, (7 * 16 + 16) + (16 * 10 + 10)),
        ((3, 4), 5, 3, (12 * 5 + 5) + 2 * (5 * 5 + 5) + (5 * 10 + 10)),
    ],
)
def test_parameters(shape: tuple[int, ...], width: int | None, depth: int | None, expected: int) -> None:
    kind = {1: "tabular", 2: "array", 3: "image"}[len(shape)]
    problem = Problem("classification", kind, shape, 10, tuple("0123456789"))
    model = building.build(ModelConfig(model="mlp", width=width, depth=depth), problem)
    assert model.count_params() == expected
