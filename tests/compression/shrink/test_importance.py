"""What counts as important, checked against numbers made by hand, and data that does not fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from compression.shrink.agreement import agree, randomize

from tfday7.compression import shrink
from tfday7.compression.shrink import importance as judging
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.data.dataset import Examples


def small(dataset: Dataset, units: int = 6) -> Any:
    inputs = keras.Input(dataset.problem.input_shape)
    x = keras.layers.Dense(units, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(dataset.problem.outputs, name="out")(x))
    randomize(model)
    return model


def kept(plan: Any) -> list[int]:
    return [int(position) for position in plan.groups[0].kept]


def strongest(numbers: np.ndarray, count: int) -> list[int]:
    return sorted(np.argsort(-numbers)[:count].tolist())


def test_magnitude_adds_up_what_makes_a_channel() -> None:
    inputs = keras.Input((4,))
    one, other = keras.layers.Dense(6, name="one")(inputs), keras.layers.Dense(6, name="other")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()([one, other])))
    randomize(model)
    kernels = [np.asarray(model.get_layer(name).kernel) for name in ("one", "other")]
    norms = np.sqrt(sum(np.square(kernel).sum(axis=0) for kernel in kernels))
    assert kept(shrink.plan(model, ratio=0.5)) == strongest(norms, 3)


def test_scale_of_batch_normalization() -> None:
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(6, 3, use_bias=False)(inputs))
    x = keras.layers.Conv2D(6, 3, name="plain")(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(x)))
    randomize(model)
    gamma = np.array([-3, 0.1, 2, -0.2, 1, 0.3], np.float32)
    model.get_layer("norm").gamma.assign(gamma)
    plan, _ = agree(model, random_weights=False, importance="bn_scale")
    assert kept(plan) == [0, 2, 4]
    assert plan.notes == ("bn_scale says nothing of plain: judged by magnitude",)


@pytest.mark.parametrize("batch_size", [64, 8])
def test_taylor_is_the_gradient_times_the_weight(
    blobs: Dataset, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all examples, whatever the batches that they come in."""
    monkeypatch.setattr(judging, "BATCH_SIZE", batch_size)
    model = small(blobs)
    x, y = np.asarray(blobs.train.x[:]), np.asarray(blobs.train.y[:])
    kernel = model.get_layer("hidden").kernel
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x))
    change = np.abs(np.asarray(kernel) * np.asarray(tape.gradient(loss, kernel))).sum(axis=0)
    assert kept(shrink.plan(model, ratio=0.5, importance="taylor", data=blobs)) == strongest(change, 3)


def test_activation_is_what_comes_in_times_what_reads_it(blobs: Dataset) -> None:
    model = small(blobs)
    hidden = keras.Model(model.inputs, model.get_layer("hidden").output)
    mean = np.abs(np.asarray(hidden(np.asarray(blobs.train.x[:])))).mean(axis=0)
    norm = np.linalg.norm(np.asarray(model.get_layer("out").kernel), axis=1)
    assert kept(shrink.plan(model, ratio=0.5, importance="activation", data=blobs)) == strongest(mean * norm, 3)


def test_random_is_drawn_from_the_seed(blobs: Dataset) -> None:
    model = small(blobs, 12)
    drawn = {seed: kept(shrink.plan(model, ratio=0.5, importance="random", seed=seed)) for seed in range(4)}
    assert drawn[0] == kept(shrink.plan(model, ratio=0.5, importance="random", seed=0))
    assert len({tuple(one) for one in drawn.values()}) > 1


@pytest.mark.parametrize("importance", ["taylor", "activation"])
def test_every_rule_serves_a_convolution(importance: str, pictures: Dataset) -> None:
    inputs = keras.Input(pictures.problem.input_shape)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(keras.layers.Flatten()(x)))
    plan, _ = agree(model, importance=importance, data=pictures)
    assert plan.notes == ()


def test_data_must_be_there_and_fit(blobs: Dataset, pictures: Dataset) -> None:
    model = small(blobs)
    for importance in ("taylor", "activation"):
        with pytest.raises(UserError, match=f"importance {importance} needs data"):
            shrink.plan(model, ratio=0.5, importance=importance)
        with pytest.raises(UserError, match=r"shape \(4, 4, 1\); the model takes \(2,\)"):
            shrink.plan(model, ratio=0.5, importance=importance, data=pictures)
        empty = dataclasses.replace(blobs, train=Examples(blobs.train.x[:0], blobs.train.y[:0]))
        with pytest.raises(UserError, match="no training examples"):
            shrink.plan(model, ratio=0.5, importance=importance, data=empty)
