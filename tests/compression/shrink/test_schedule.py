"""Counts of channels step by step, by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.compression import shrink
from tfday7.compression.shrink.schedule import schedule
from tfday7.core.frameworks import keras

STEPS: dict[str, tuple[tuple[int, ...], float, int, list[dict[str, int]]]] = {
    "even": ((64,), 0.75, 3, [{"a": 48}, {"a": 32}, {"a": 16}]),
    "in one": ((64,), 0.5, 1, [{"a": 32}]),
    "of a small group, one by one": ((9,), 0.6, 3, [{"a": 7}, {"a": 6}, {"a": 4}]),
    "a group rests where none of it goes": (
        (64, 4),
        0.5,
        3,
        [{"a": 56, "b": 3}, {"a": 40}, {"a": 32, "b": 2}],
    ),
    "a step in which nothing goes is left out": ((32, 4), 0.5, 3, [{"a": 24, "b": 3}, {"a": 16, "b": 2}]),
}


def chain(*units: int) -> Any:
    """Returns Dense layers a, b, ... of so many units, between an input and an output of 2."""
    x = inputs = keras.Input((3,))
    for name, count in zip("abcd", units, strict=False):
        x = keras.layers.Dense(count, activation="relu", name=name)(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(x))


@pytest.mark.parametrize(("units", "ratio", "iterations", "expected"), STEPS.values(), ids=STEPS)
def test_each_step_takes_as_many(
    units: tuple[int, ...], ratio: float, iterations: int, expected: list[dict[str, int]]
) -> None:
    plan = shrink.plan(chain(*units), ratio=ratio)
    assert schedule(plan, iterations, 8) == expected
    assert {one.group.name: one.after for one in plan.groups} == {
        name: count for step in expected for name, count in step.items()
    }


def test_steps_in_which_no_multiple_goes_are_left_out() -> None:
    steps = schedule(shrink.plan(chain(64), ratio=0.75), 20, 8)
    assert steps == [{"a": count} for count in (56, 48, 40, 32, 24, 16)]


def test_where_nothing_goes_there_is_one_step_all_the_same() -> None:
    """The step that trains."""
    assert schedule(shrink.plan(chain(64), macs_ratio=1.0), 3, 8) == [{}]
