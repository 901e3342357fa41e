"""Schedule-free AdamW beside a reading of its paper in NumPy, which keeps all three points."""

from __future__ import annotations

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, START, STEPS, assert_same_path, ours, small_model

from tfday7.core.frameworks import tf
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers.averages import averages

EPSILON = 1e-8


def paper(
    rate: float, beta_1: float = 0.9, beta_2: float = 0.999, decay: float = 0.0, warmup: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Algorithm 1 of arXiv:2405.15682; returns the last y and the last x. Vectors do not decay."""
    x = [each.astype(np.float64) for each in START]
    z, y = list(x), list(x)
    v = [np.zeros(each.shape) for each in START]
    squares = 0.0
    for t, gradients in enumerate(GRADIENTS, start=1):
        gamma = rate * np.sqrt(1 - beta_2**t) * (min(1.0, t / warmup) if warmup else 1.0)
        squares += gamma**2
        for i, g in enumerate(gradients):
            y[i] = (1 - beta_1) * z[i] + beta_1 * x[i]
            v[i] = beta_2 * v[i] + (1 - beta_2) * g.astype(np.float64) ** 2
            z[i] = z[i] - gamma * g / (np.sqrt(v[i]) + EPSILON) - gamma * (decay if g.ndim > 1 else 0.0) * y[i]
            x[i] = (1 - gamma**2 / squares) * x[i] + gamma**2 / squares * z[i]
            y[i] = (1 - beta_1) * z[i] + beta_1 * x[i]
    return y, x


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, {}),
        ({"beta_1": 0.95, "beta_2": 0.9}, {"beta_1": 0.95, "beta_2": 0.9}),
        ({"weight_decay": 0.1}, {"decay": 0.1}),
        ({"warmup_steps": 5}, {"warmup": 5}),
    ],
)
def test_twelve_steps_are_the_papers(settings: dict[str, float], arguments: dict[str, float]) -> None:
    mine = ours(optimizer="schedule_free_adamw", learning_rate=0.01, **settings)
    assert_same_path(mine, paper(0.01, **arguments)[0])


def test_the_averages_are_the_papers_x() -> None:
    model = small_model()
    optimizer = catalog.build(OptimizerConfig(optimizer="schedule_free_adamw", learning_rate=0.01), STEPS, model)
    for gradients in GRADIENTS:
        optimizer.apply_gradients(zip(map(tf.constant, gradients), model.trainable_variables, strict=True))
    averaged = averages(optimizer, model.trainable_variables)
    assert averaged is not None
    assert_same_path([each.numpy() for each in averaged], paper(0.01)[1])
