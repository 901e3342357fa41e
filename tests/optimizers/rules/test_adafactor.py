"""Adafactor where its factors meet nothing, and what it remembers."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import OptimizerConfig, catalog


def _built(shape: tuple[int, ...]) -> tuple[keras.optimizers.Optimizer, tf.Variable]:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = catalog.build(OptimizerConfig(optimizer="adafactor"), 10, model)
    variable = tf.Variable(tf.ones(shape))
    optimizer.build([variable])
    return optimizer, variable


def test_dead_units_and_inputs_leave_their_weights_alone_and_the_others_finite() -> None:
    """A row and a column without gradients: 1e-30 * 1e-30 is 0 in float32, and 0 / 0 no number."""
    optimizer, variable = _built((3, 4))
    gradient = np.ones((3, 4), np.float32)
    gradient[1], gradient[:, 2] = 0.0, 0.0
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    moved = variable.numpy() != 1.0
    assert np.all(np.isfinite(variable.numpy()))
    np.testing.assert_array_equal(moved, gradient != 0)


@pytest.mark.parametrize(
    ("shape", "numbers"), [((5,), 5), ((3, 4), 3 + 4), ((2, 2, 3, 4), 2 * 2 * 3 + 2 * 2 * 4)], ids=str
)
def test_it_remembers_rows_and_columns_alone(shape: tuple[int, ...], numbers: int) -> None:
    optimizer, _ = _built(shape)
    slots = [variable for variable in optimizer.variables if variable is not optimizer.iterations]
    assert sum(int(np.prod(slot.shape)) for slot in slots) == numbers
