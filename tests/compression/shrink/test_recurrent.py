"""Recurrent layers: units go from every gate, both directions, and the states that layers hand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from compression.shrink.agreement import agree

from tfday7.core.frameworks import keras

Build = Callable[[Any], Any]


def series(middle: Build) -> Any:
    """Returns a model: a convolution over 4 steps to 6 channels, the middle, 3 outputs."""
    layers = keras.layers
    inputs = keras.Input((4, 2))
    x = middle(layers.Conv1D(6, 3, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Flatten()(x)))


RECURRENT: dict[str, Build] = {
    "lstm": lambda x: keras.layers.LSTM(8)(x),
    "lstm of steps": lambda x: keras.layers.LSTM(8, return_sequences=True, go_backwards=True)(x),
    "two lstms": lambda x: keras.layers.LSTM(4)(keras.layers.LSTM(8, return_sequences=True, use_bias=False)(x)),
    "gru": lambda x: keras.layers.GRU(8)(x),
    "gru before v3": lambda x: keras.layers.GRU(8, reset_after=False, return_sequences=True)(x),
    "simple rnn": lambda x: keras.layers.SimpleRNN(8)(x),
    "rnn of a cell": lambda x: keras.layers.RNN(keras.layers.GRUCell(8), return_sequences=True)(x),
    "bidirectional": lambda x: keras.layers.Bidirectional(keras.layers.LSTM(6, return_sequences=True))(x),
    "bidirectional sum": lambda x: keras.layers.Bidirectional(keras.layers.GRU(6), merge_mode="sum")(x),
    "bidirectional, apart": lambda x: keras.layers.Concatenate()(
        keras.layers.Bidirectional(keras.layers.LSTM(6, return_sequences=True), merge_mode=None)(x)
    ),
    "bidirectional of two kinds": lambda x: keras.layers.Bidirectional(
        keras.layers.LSTM(6), backward_layer=keras.layers.GRU(4, go_backwards=True)
    )(x),
    "bidirectional in each part": lambda x: keras.layers.TimeDistributed(
        keras.layers.Bidirectional(keras.layers.LSTM(4))
    )(keras.layers.Reshape((2, 2, 6))(x)),
    "bidirectional of two kinds in each part of a part": lambda x: keras.layers.TimeDistributed(
        keras.layers.TimeDistributed(
            keras.layers.Bidirectional(keras.layers.LSTM(3), backward_layer=keras.layers.GRU(4, go_backwards=True))
        )
    )(keras.layers.Reshape((2, 1, 2, 6))(x)),
}


@pytest.mark.parametrize("build", RECURRENT.values(), ids=RECURRENT)
def test_the_smaller_model_is_the_masked_one(build: Build) -> None:
    keras.backend.clear_session()
    plan, _ = agree(series(build))
    assert any(one.group.name == "first" for one in plan.groups)


WHOLE: dict[str, tuple[Build, str]] = {
    "stacked cells": (
        lambda x: keras.layers.RNN([keras.layers.GRUCell(4), keras.layers.GRUCell(4)])(x),
        "unknown cell StackedRNNCells",
    ),
    "bidirectional with states": (
        lambda x: keras.layers.Bidirectional(keras.layers.LSTM(6, return_state=True))(x)[0],
        "unknown layer Bidirectional",
    ),
    "something own at each step": (
        lambda x: keras.layers.TimeDistributed(keras.layers.Lambda(lambda y: 2.0 * y))(x),
        "unknown layer TimeDistributed",
    ),
}


@pytest.mark.parametrize(("build", "reason"), WHOLE.values(), ids=WHOLE)
def test_what_is_not_known_is_left_whole(build: Build, reason: str) -> None:
    keras.backend.clear_session()
    model = series(lambda x: keras.layers.Dense(6, name="free")(keras.layers.Flatten()(build(x))))
    plan, _ = agree(model)
    assert [one.group.name for one in plan.groups] == ["free"]
    assert reason in next(one.reason for one in plan.skipped if one.layer == "first")


def test_an_embedding_is_narrowed() -> None:
    inputs = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(9, 6, mask_zero=True, name="words")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(4)(x)))
    plan, smaller = agree(model)
    assert smaller.get_layer("words").embeddings.shape == (9, 3)
    lstm = 4 * (3 * 2 + 2 * 2 + 2)  # Of 3 inputs and 2 units.
    assert plan.parameters[1] == 9 * 3 + lstm + (2 * 2 + 2)


def test_states_that_start_another_layer_go_with_its_units() -> None:
    inputs, more = keras.Input((5, 3)), keras.Input((4, 3))
    _, hidden, cell = keras.layers.LSTM(8, return_state=True, name="reader")(inputs)
    x = keras.layers.LSTM(8, name="writer")(more, initial_state=[hidden, cell])
    plan, _ = agree(keras.Model([inputs, more], keras.layers.Dense(2)(x)))
    assert [(one.group.members, one.after) for one in plan.groups] == [(("reader", "writer"), 4)]


def test_steps_in_the_place_of_the_batch_leave_the_units_whole() -> None:
    inputs = keras.Input((3, 2))
    x = keras.layers.LSTM(8, time_major=True, return_sequences=True, name="turned")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(6, name="free")(x)))
    plan, _ = agree(model)
    assert [one.group.name for one in plan.groups] == ["free"]


def test_the_two_directions_may_keep_other_units() -> None:
    keras.backend.clear_session()
    model = series(lambda x: keras.layers.Bidirectional(keras.layers.LSTM(6), name="both")(x))
    plan, smaller = agree(model)
    assert sum(one.before for one in plan.groups if one.group.name.startswith("both")) == 12
    again = keras.models.model_from_json(smaller.to_json())
    assert [w.shape for w in again.weights] == [w.shape for w in smaller.weights]
