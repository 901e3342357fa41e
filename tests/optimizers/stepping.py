"""Steps of optimizers on fixed gradients, for comparison with other implementations of the same rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import OptimizerConfig, catalog, tfa
from tfday7.optimizers.table import OPTIMIZERS

HERE = [name for name in sorted(OPTIMIZERS) if not name.startswith("tfa_") or tfa.is_installed()]
STEPS = 12
_RANDOM = np.random.default_rng(5)
START = [_RANDOM.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3,), (3, 2), (2,))]
# Sizes differ from step to step, as those of real gradients do.
GRADIENTS = [
    [(scale * _RANDOM.normal(size=each.shape)).astype(np.float32) for each in START]
    for scale in _RANDOM.uniform(0.1, 3.0, STEPS)
]


def small_model(weights: list[np.ndarray] = START) -> Any:
    """Two dense layers, 4 -> 3 -> 2, with these weights."""
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    model.set_weights(weights)
    return model


def ours(**settings: Any) -> list[np.ndarray]:
    """Returns the weights after all steps of the optimizer with these settings."""
    model = small_model()
    optimizer = catalog.build(OptimizerConfig(**settings), STEPS, model)
    for gradients in GRADIENTS:
        optimizer.apply_gradients(zip(map(tf.constant, gradients), model.trainable_variables, strict=True))
    return model.get_weights()


def theirs(optimizer: Any) -> list[np.ndarray]:
    """Returns the weights after all steps of a legacy optimizer; the variables are named as a model's."""
    names = ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    variables = [tf.Variable(value, name=name) for value, name in zip(START, names, strict=True)]
    for gradients in GRADIENTS:
        optimizer.apply_gradients(zip(map(tf.constant, gradients), variables, strict=True))
    return [variable.numpy() for variable in variables]


def assert_same_path(mine: list[np.ndarray], other: list[np.ndarray], tolerance: float = 1e-5) -> None:
    """Compares how far the weights have come, not where they are: a short path cannot hide in large weights."""
    for start, left, right in zip(START, mine, other, strict=True):
        moved = np.abs(right - start).max()
        assert moved > 1e-3
        np.testing.assert_allclose(left - start, right - start, rtol=0, atol=tolerance * moved + 1e-6)
