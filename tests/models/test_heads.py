"""The heads of models of several targets: what `--freeze` leaves free, and what is no hidden matrix for Muon."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import building, transfer
from tfday7.optimizers.matrices import hidden_matrices

PRICE = {"target_mean": np.array([2000.0], np.float32), "target_std": np.array([9.0], np.float32)}
PROBLEM = Problem(
    "several",
    "tabular",
    (4,),
    1 + 2 + 3,
    heads=(
        Problem("regression", "array", (), 1, name="price", **PRICE),
        Problem("classification", "array", (), 2, name="garden"),
        Problem("classification", "array", (), 3, name="city"),
    ),
)
layers = keras.layers


def _joined(trunk: bool = True) -> Any:
    inputs = keras.Input((4,))
    x = inputs
    if trunk:
        x = layers.Dense(8, name="wide")(x)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.Dense(7, name="narrow")(layers.Activation("relu")(x))
    price = layers.Activation("linear")(layers.Dense(1, name="price")(x))
    garden = keras.Sequential([layers.Dense(5, name="inner"), layers.Dense(2, name="outer")], name="garden")(x)
    city = layers.Dense(3, name="city")(layers.Dense(6, name="before_city")(x) if trunk else x)
    return building._joined(keras.Model(inputs, [price, garden, city]), PROBLEM)


def test_freezing_leaves_the_heads_of_all_targets() -> None:
    frozen = transfer.freezable(_joined())
    assert sorted(layer.name for layer in frozen) == ["before_city", "narrow", "norm", "wide"]


def test_the_last_kernel_of_each_head_is_no_hidden_matrix() -> None:
    shapes = sorted(shape for _, shape in hidden_matrices(_joined()))
    assert shapes == [(4, 8), (7, 5), (7, 6), (8, 7)]  # wide, inner of garden, before_city, narrow.


def test_a_model_of_heads_alone_cannot_be_frozen() -> None:
    with pytest.raises(UserError, match="no layer with weights but its heads"):
        transfer.freezable(_joined(trunk=False))
