"""The step "shrink": a new, smaller model, its record, iterations that end where one step does, and mistakes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, building
from tfday7.training.config import TrainingConfig

SHRINK = TECHNIQUES.get("shrink")


def work_on(dataset: Dataset, **scale: Any) -> Work:
    model = building.build(ModelConfig(model="mlp", **{"width": 16, "depth": 2, **scale}), dataset.problem)
    return Work(model, model, dataset, training=TrainingConfig(batch_size=32))


def parameters(*sizes: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


def weights_of(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_it_puts_a_smaller_model_in_place_and_says_what_went(blobs: Dataset) -> None:
    work = work_on(blobs)
    before = [np.array(weight) for weight in work.original.weights]
    record = SHRINK.apply(work, read_settings(SHRINK, {"ratio": 0.5, "epochs": 0}))
    assert weights_of(work.model) == parameters(2, 8, 8, 2)
    assert weights_of(work.original) == parameters(2, 16, 16, 2)
    assert [(group["before"], group["after"]) for group in record["groups"]] == [(16, 8), (16, 8)]
    assert record["macs"] == [2 * 16 + 16 * 16 + 16 * 2, 2 * 8 + 8 * 8 + 8 * 2]
    assert record["parameters"][1] == work.model.count_params()
    assert record["finetuning"] == [{}]
    assert [(one.technique, one.layer, one.reason) for one in work.skipped] == [
        ("shrink", "logits", "the model's output")
    ]
    assert all((np.asarray(now) == then).all() for now, then in zip(work.original.weights, before, strict=True))


def test_iterations_end_where_one_step_does(blobs: Dataset) -> None:
    once, often = work_on(blobs, width=64), work_on(blobs, width=64)
    SHRINK.apply(once, read_settings(SHRINK, {"ratio": 0.75, "epochs": 0}))
    record = SHRINK.apply(often, read_settings(SHRINK, {"ratio": 0.75, "epochs": 0, "iterations": 3}))
    assert record["iterations"] == 3
    assert weights_of(often.model) == weights_of(once.model) == parameters(2, 16, 16, 2)


def test_fine_tuning_follows_each_step_and_recovers(blobs: Dataset) -> None:
    work = work_on(blobs)
    settings = read_settings(SHRINK, {"ratio": 0.5, "epochs": 8, "iterations": 2, "round_to": 4, "learning_rate": 0.01})
    record = SHRINK.apply(work, settings)
    assert [tuned["epochs"] for tuned in record["finetuning"]] == [8, 8]
    said = np.argmax(work.model.predict(blobs.validation.x, verbose=0), axis=1)
    untrained = np.argmax(work.original.predict(blobs.validation.x, verbose=0), axis=1)
    y = np.asarray(blobs.validation.y[:])
    assert np.mean(said == y) >= np.mean(untrained == y)


def test_budgets_data_and_kept_layers(blobs: Dataset) -> None:
    work = work_on(blobs)
    name = next(layer.name for layer in work.model.layers if getattr(layer, "units", 0) == 16)
    settings = read_settings(
        SHRINK, {"size_bytes": 1000, "importance": "taylor", "keep": f"{name}, logits", "epochs": 0, "scope": "global"}
    )
    record = SHRINK.apply(work, settings)
    assert 4 * record["parameters"][1] <= 1000
    assert name not in {group["name"] for group in record["groups"]}
    assert (name, "kept, as asked") in {(one.layer, one.reason) for one in work.skipped}


def test_counts_say_how_many_channels_of_each_group_stay() -> None:
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="a/b")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(6, name="c")(x)))
    work = Work(model, model, prepare(Raw(np.arange(120, dtype=np.float32).reshape(30, 4), np.arange(30) % 2), "zeros"))
    record = SHRINK.apply(work, read_settings(SHRINK, {"counts": "a/b=3, c=5", "epochs": 0}))
    assert {group["name"]: (group["before"], group["after"]) for group in record["groups"]} == {
        "a/b": (8, 3),
        "c": (6, 5),
    }
    with pytest.raises(UserError, match="no group 'd' that can shrink"):
        SHRINK.apply(work, read_settings(SHRINK, {"counts": "d=3", "epochs": 0}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing says how much goes"),
        ({"ratio": 0.5, "macs_ratio": 0.5}, "ratio contradicts macs_ratio"),
        ({"counts": "conv"}, "counts=conv: 'conv' is no GROUP=NUMBER"),
        ({"counts": "conv=4, dense=x"}, "'dense=x' is no GROUP=NUMBER"),
        ({"ratio": 1.0}, "ratio=1.0: expected a number above 0 and below 1"),
        ({"ratio": 0.5, "importance": "size"}, "importance=size: expected one of magnitude"),
        ({"ratio": 0.5, "iterations": 0}, "iterations=0"),
        ({"share": 0.5}, "no setting 'share'"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_settings(SHRINK, given)


def test_the_rules_of_importance_are_those_of_the_library() -> None:
    from tfday7.compression.shrink.importance import RULES
    from tfday7.compression.techniques.shrink import IMPORTANCES

    assert set(IMPORTANCES) == set(RULES)
