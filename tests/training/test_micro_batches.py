"""The fewest micro-batches that fit, and the layers that leave float16's range."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.training import micro_batches, overflow


def dense() -> keras.Model:
    """64 inputs, 128 units with a ReLU, 4 outputs: an example keeps what the gradient reads of it."""
    given = keras.Input((64,))
    x = keras.layers.Dense(128, activation="relu")(given)
    return keras.Model(given, keras.layers.Dense(4)(x))


@pytest.mark.parametrize(("divided_by", "steps"), [(1, 1), (2, 2), (3, 4), (4, 4), (16, 16)])
def test_the_fewest_equal_micro_batches_are_taken(divided_by: int, steps: int) -> None:
    """64 examples on two replicas are 32 each, whose divisors are the powers of two up to 32."""
    each = micro_batches.kept_bytes(dense(), 3) - micro_batches.kept_bytes(dense(), 2)  # type: ignore[operator]
    assert each >= 4 * (128 + 4)
    fixed = micro_batches.kept_bytes(dense(), 2) - 2 * each  # type: ignore[operator]
    budget = micro_batches.BACKWARD * (fixed + each * 32 / divided_by)
    assert micro_batches.fewest_steps(dense(), 64, 2, budget) == steps


def test_when_not_even_one_example_fits_it_is_said() -> None:
    with pytest.raises(UserError, match="one example needs about"):
        micro_batches.fewest_steps(dense(), 64, 2, 100.0)


def test_a_machine_has_some_memory_for_a_step() -> None:
    assert micro_batches.budget(2) == pytest.approx(micro_batches.budget(1) / 2, rel=0.2)
    assert micro_batches.budget(1) > 1e6


def test_layers_beyond_float16_are_named_and_no_others() -> None:
    policy = keras.mixed_precision.Policy("mixed_float16")
    given = keras.Input((2,))
    x = keras.layers.Dense(3, dtype=policy, name="tame", kernel_initializer="ones")(given)
    x = keras.layers.Dense(3, dtype=policy, name="wild", kernel_initializer=keras.initializers.Constant(3e4))(x)
    model = keras.Model(given, keras.layers.Dense(1, dtype="float32", name="head")(x))
    found = overflow.overflowing(model, np.ones((5, 2), np.float32))
    assert found == [{"layer": "wild", "largest": pytest.approx(2 * 3 * 3e4)}]
    assert overflow.overflowing(model, np.full((5, 2), 0.1, np.float32)) == []
