"""The graph of many steps beside Keras's own: the same weights and logs to the bit, traced once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.training import loop

X = np.random.default_rng(2).normal(size=(44, 5)).astype(np.float32)
Y = np.arange(44) % 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Counting(keras.layers.Layer):
    """Counts how often it is traced while training."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bool] = []

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        self.calls.append(bool(training))
        return inputs


def compiled(per_call: int, counting: Counting | None = None) -> Any:
    keras.utils.set_random_seed(4)
    given = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01))(given)
    hidden = keras.layers.BatchNormalization()(keras.layers.Dropout(0.2)(hidden))
    model = keras.Model(given, keras.layers.Dense(3)(counting(hidden) if counting else hidden))
    model.compile(
        keras.optimizers.Adam(0.05),
        LOSS,
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        steps_per_execution=per_call,
    )
    if counting is not None:
        counting.calls.clear()
    return model


@pytest.mark.parametrize("per_call", [1, 2, 3, 11])
def test_it_ends_where_keras_s_own_loop_does(per_call: int) -> None:
    histories, weights = [], []
    for ours in (False, True):
        model = compiled(per_call)
        if ours:
            loop.install(model)
        histories.append(model.fit(X, Y, 4, 3, validation_data=(X, Y), verbose=0).history)
        weights.append([*model.get_weights(), *(each.numpy() for each in model.optimizer.variables)])
        assert int(model.optimizer.iterations) == int(model._train_counter) == 33
    assert histories[0] == histories[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_is_traced_once_for_training_and_once_for_validation() -> None:
    """Keras traces both twice, and training twice again."""
    counting = Counting()
    model = compiled(8, counting)
    loop.install(model)
    model.fit(X, Y, 4, 2, validation_data=(X, Y), verbose=0)
    assert sorted(counting.calls) == [False, True]


def test_the_steps_of_a_call_may_change_between_calls() -> None:
    class Changing(keras.callbacks.Callback):
        seen: list[int]

        def on_train_begin(self, logs: Any = None) -> None:
            self.seen = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.append(batch)
            self.model.steps_per_execution = 5

    counting, changing = Counting(), Changing()
    model = compiled(1, counting)
    loop.install(model)
    model.fit(X, Y, 4, 1, callbacks=[changing], verbose=0)
    assert changing.seen == [0, 5, 10]
    assert counting.calls == [True]


def test_a_batch_too_few_ends_training_as_it_does_in_keras() -> None:
    model = compiled(4)
    loop.install(model)
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    history = model.fit(batches, epochs=1, steps_per_epoch=20, verbose=0)
    assert int(model._train_counter) == 11
    assert history.history["loss"]


@pytest.mark.parametrize("says_so", [False, True])
def test_a_class_with_a_step_of_its_own_keeps_its_logs_unless_they_are_the_metrics(says_so: bool) -> None:
    class Own(keras.Model):
        logs_are_metrics = says_so

        def train_step(self, data: Any) -> Any:
            return super().train_step(data) | {"mine": tf.constant(3.0)}

    given = keras.Input((5,))
    model = Own(given, keras.layers.Dense(3)(given))
    model.compile("sgd", LOSS, steps_per_execution=4)
    loop.install(model)
    history = model.fit(X, Y, 4, 1, verbose=0).history
    assert set(history) == ({"loss"} if says_so else {"loss", "mine"})
