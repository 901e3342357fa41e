"""The exact step on one device: accumulation beside Keras's own step, and the norm of an embedding's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.training import batch_statistics, step

X = np.random.default_rng(2).normal(size=(11, 5)).astype(np.float32)
Y = np.arange(11) % 3


def mlp(optimizer: Any) -> Any:
    keras.utils.set_random_seed(4)
    given = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01))(given)
    model = keras.Model(given, keras.layers.Dense(3)(hidden))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


@pytest.mark.parametrize("micro_batches", [2, 4, 11, 16])  # With 16, five of them are empty.
@pytest.mark.parametrize("weights", [None, {0: 0.5, 1: 2.0, 2: 1.0}])
def test_micro_batches_add_up_to_the_batch(micro_batches: int, weights: dict[int, float] | None) -> None:
    whole, parts = (mlp(keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5)) for _ in range(2))
    step.install(parts, micro_batches)
    logs = [
        model.fit(X, Y, batch_size=11, epochs=5, verbose=0, class_weight=weights, shuffle=False).history
        for model in (whole, parts)
    ]
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for name, values in logs[0].items():
        np.testing.assert_allclose(values, logs[1][name], rtol=1e-5)
    assert int(parts.optimizer.iterations) == 5


def test_keras_s_own_step_stays_where_it_does_the_same() -> None:
    model = mlp(keras.optimizers.SGD(0.1))
    before = model.train_step
    step.install(model, 1)
    assert model.train_step == before


def test_a_step_of_its_own_is_kept_alone_and_refused_otherwise() -> None:
    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    given = keras.Input((5,))
    model = Own(given, keras.layers.Dense(3)(given))
    model.compile("sgd", "mse")
    before = model.train_step
    step.install(model, 1)
    assert model.train_step == before
    with pytest.raises(UserError, match="Own has a training step of its own"):
        step.install(model, 2)


def test_a_word_that_occurs_twice_counts_as_one_row_in_the_norm() -> None:
    """The output is the mean of two vectors [2]; the loss its sum. Of word 1, twice: gradient 2 x 1/2 in each of two
    numbers, a norm of sqrt(2); before its rows are added up it would be 1. Clipped to 0.5 it moves by 0.5 / sqrt(2)."""
    given = keras.Input((2,), dtype="int32")
    x = keras.layers.Embedding(3, 2, embeddings_initializer="zeros")(given)
    model = keras.Model(given, keras.layers.GlobalAveragePooling1D()(x))
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=0.5), lambda y, z: keras.backend.sum(z, axis=-1))
    step.install(model, 1)
    model.fit(np.array([[1, 1]], np.int32), np.zeros(1), verbose=0)
    table = model.get_weights()[0]
    np.testing.assert_allclose(table[1], [-0.5 / np.sqrt(2)] * 2, rtol=1e-6)
    assert not table[[0, 2]].any()


def test_statistics_are_those_of_each_micro_batch() -> None:
    """Ghost batches by hand: the moving averages of tf_keras move once a micro-batch, by its own mean and variance."""
    given = keras.Input((5,))
    model = keras.Model(given, keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False)(given))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    batch_statistics.prepare(model, 3)
    step.install(model, 3)
    model.fit(X, X, batch_size=11, verbose=0, shuffle=False)
    mean, variance = np.zeros(5), np.ones(5)
    for first, last in ((0, 3), (3, 7), (7, 11)):
        mean = 0.9 * mean + 0.1 * X[first:last].mean(axis=0)
        variance = 0.9 * variance + 0.1 * X[first:last].var(axis=0)
    np.testing.assert_allclose(model.get_weights(), [mean, variance], rtol=1e-5, atol=1e-6)
