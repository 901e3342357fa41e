"""Nadam beside its paper's algorithm 8, written in NumPy: Keras's own have lost the pace of the momentum's warm-up."""

from __future__ import annotations

import numpy as np
import pytest
from optimizers.stepping import START, assert_same_path, small_model

from tfday7.core.frameworks import tf
from tfday7.optimizers import OptimizerConfig, catalog, state

STEPS = 400
RATE, BETA_2, EPSILON = 0.01, 0.95, 1e-7


def _gradients(step: int) -> list[np.ndarray]:
    """Returns gradients that keep a direction for a while, so that momentum shows."""
    random = np.random.default_rng(step)
    size = 1.5 + np.sin(step / 7)
    return [(size * (np.cos(step / 40) + random.normal(size=each.shape))).astype(np.float32) for each in START]


def _algorithm_8(beta_1: float) -> list[np.ndarray]:
    """Returns the weights after all steps, in float64, as Dozat's long form writes them."""
    weights = [value.astype(np.float64) for value in START]
    m, n = ([np.zeros_like(each) for each in weights] for _ in range(2))
    mu = beta_1 * (1 - 0.5 * 0.96 ** (np.arange(STEPS + 2) / 250))
    for t in range(1, STEPS + 1):
        here, ahead = np.prod(mu[1 : t + 1]), np.prod(mu[1 : t + 2])
        for index, g in enumerate(_gradients(t)):
            m[index] = beta_1 * m[index] + (1 - beta_1) * g
            n[index] = BETA_2 * n[index] + (1 - BETA_2) * g.astype(np.float64) ** 2
            mean = (1 - mu[t]) * g / (1 - here) + mu[t + 1] * m[index] / (1 - ahead)
            weights[index] -= RATE * mean / (np.sqrt(n[index] / (1 - BETA_2**t)) + EPSILON)
    return weights


@pytest.mark.parametrize("beta_1", [0.9, 0.99])
def test_hundreds_of_steps_in_a_graph_are_those_of_algorithm_8(beta_1: float) -> None:
    """In a graph tf_keras's own multiplies its momentums once for each variable, not for each step."""
    model = small_model()
    config = OptimizerConfig(optimizer="nadam", learning_rate=RATE, beta_1=beta_1, beta_2=BETA_2)
    optimizer = catalog.build(config, STEPS, model)
    state.build(optimizer, model.trainable_variables)
    variables = model.trainable_variables
    step = tf.function(lambda *gradients: optimizer.apply_gradients(zip(gradients, variables, strict=True)))
    for t in range(1, STEPS + 1):
        step(*map(tf.constant, _gradients(t)))
    assert_same_path(model.get_weights(), _algorithm_8(beta_1), tolerance=1e-4)
