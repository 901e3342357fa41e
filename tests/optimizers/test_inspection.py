"""What is found in data and models: their kinds and sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.core.frameworks import keras
from tfday7.data import Dataset, Problem
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import building
from tfday7.models.config import ModelConfig
from tfday7.optimizers import inspection

TEXT = Problem("classification", "text", (6,), 3, ("a", "b", "c"), vocabulary=tuple("abcdefgh"))
SERIES = Problem(
    "classification", "series", (8, 2), 3, ("a", "b", "c"),
    feature_mean=np.zeros(2, np.float32), feature_std=np.ones(2, np.float32),
)  # fmt: skip
IMAGE = Problem("classification", "image", (16, 16, 3), 3, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("name", "problem", "kind"),
    [
        ("transformer", TEXT, "transformer"),
        ("lstm", TEXT, "rnn"),
        ("gru", SERIES, "rnn"),
        ("linear", TEXT, "embedding"),
        ("mlp", TEXT, "mlp"),
        ("mlp", IMAGE, "mlp"),
        ("linear", SERIES, "mlp"),
        ("cnn", IMAGE, "cnn"),
        ("resnet8", IMAGE, "cnn"),
        ("mobilenet_v2", IMAGE, "cnn"),
    ],
)
def test_an_architecture_is_known_by_its_layers(name: str, problem: Problem, kind: str) -> None:
    width = None if name == "linear" else 8
    model = building.build(ModelConfig(model=name, width=width), problem)
    assert inspection.model_kind(model) == kind


def test_a_model_of_ones_own_is_known_by_its_layers_also_when_nested() -> None:
    inputs = keras.Input((4, 8))
    attended = keras.layers.MultiHeadAttention(1, 4)(inputs, inputs)
    inner = keras.Model(inputs, keras.layers.Conv1D(2, 1)(attended))
    assert inspection.model_kind(keras.Sequential([inner, keras.layers.Flatten()])) == "transformer"
    bidirectional = keras.Sequential([keras.Input((4, 3)), keras.layers.Bidirectional(keras.layers.LSTM(2))])
    assert inspection.model_kind(bidirectional) == "rnn"


def test_products_without_a_softmax_are_no_attention() -> None:
    inputs = keras.Input((4, 4))
    product = keras.layers.Dot(axes=1)([inputs, inputs])
    assert inspection.model_kind(keras.Model(inputs, product)) == "mlp"


def test_facts_come_from_the_data_the_model_and_the_run(blobs: Dataset) -> None:
    model = building.build(ModelConfig(model="mlp", width=4, depth=1), blobs.problem)
    found = inspection.inspect(blobs, model, batch_size=16)
    assert dict(found.known()) == {
        "data_kind": "tabular",
        "model_kind": "mlp",
        "parameters": (2 * 4 + 4) + (4 * 2 + 2),
        "batch_size": 16,
        "examples": len(blobs.train),
    }


def test_data_of_another_rank_have_no_kind(blobs: Dataset) -> None:
    cubes = prepare(Raw(np.random.default_rng(0).normal(size=(40, 2, 2, 2, 2)), np.arange(40) % 2), "cubes")
    assert inspection.inspect(cubes).data_kind is None
    assert inspection.inspect(dataclasses.replace(blobs)).data_kind == "tabular"
