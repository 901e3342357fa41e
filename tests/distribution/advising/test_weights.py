"""Bytes of weights, gradients and optimizer state by arithmetic: equal to those of the variables that are made."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.distribution.advising import measuring, weights
from tfday7.distribution.advising.transformer import Transformer
from tfday7.distribution.advising.weights import KEPT, Weight
from tfday7.models import building
from tfday7.models.config import ModelConfig
from tfday7.optimizers import catalog, state, tfa
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.table import OPTIMIZERS

TEXT = Problem("classification", "text", (6,), 2, ("a", "b"), vocabulary=("a",) * 7)
INSTALLED = [name for name, spec in OPTIMIZERS.items() if not spec.legacy or tfa.is_installed()]


def transformer(precision: str = "float32") -> Any:
    return building.build(ModelConfig(model="transformer", width=8, depth=1), TEXT, precision)


def real_bytes(variables: Any) -> int:
    return sum(int(tf.size(variable)) * tf.as_dtype(variable.dtype).size for variable in variables)


@pytest.fixture(scope="module")
def model() -> Any:
    return transformer()


@pytest.fixture(scope="module")
def found(model: Any) -> tuple[Weight, ...]:
    return measuring.measure(model).weights


def made_bytes(model: Any, **settings: Any) -> int:
    """Returns the bytes of the variables that an optimizer makes."""
    optimizer = catalog.build(OptimizerConfig(**settings), 10, model)
    state.build(optimizer, model.trainable_variables)
    return real_bytes(state.variables(optimizer))


@pytest.mark.parametrize("name", INSTALLED)
def test_the_bytes_of_an_optimizer_are_those_of_its_variables(name: str, model: Any, found: tuple[Weight, ...]) -> None:
    assert weights.optimizer_bytes(found, name) == made_bytes(model, optimizer=name)


def test_sgd_keeps_its_momentum_even_where_that_is_0(model: Any, found: tuple[Weight, ...]) -> None:
    assert weights.optimizer_bytes(found, "sgd") == made_bytes(model, optimizer="sgd", momentum=0.0)


def test_every_optimizer_has_its_numbers() -> None:
    assert {*KEPT, "adafactor", "muon"} == set(OPTIMIZERS)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_the_bytes_of_weights_and_gradients_are_the_real_ones(precision: str) -> None:
    built = transformer(precision)
    found = measuring.measure(built).weights
    assert weights.weight_bytes(found) == real_bytes(built.variables)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(built(tf.zeros((2, 6), built.inputs[0].dtype))))
    gradients = [tf.convert_to_tensor(each) for each in tape.gradient(loss, built.trainable_variables)]
    assert weights.gradient_bytes(found) == real_bytes(gradients)


def test_frozen_weights_have_no_gradient_and_no_slots() -> None:
    kinds = keras.layers
    built = keras.Sequential([keras.Input((3,)), kinds.Dense(5, trainable=False), kinds.Dense(2)])
    found = measuring.measure(built).weights
    assert weights.weight_bytes(found) == 4 * (3 * 5 + 5 + 5 * 2 + 2)
    assert weights.gradient_bytes(found) == 4 * (5 * 2 + 2)
    assert weights.optimizer_bytes(found, "adam") == 2 * 4 * (5 * 2 + 2) + 8


@pytest.mark.parametrize("parameters", [10_000, 12 * 2 * 16**2, 12 * 2 * 16**2 + 16 * 5 + 3, 7_000_000])
def test_a_transformer_of_which_only_sizes_are_known_has_all_its_parameters(parameters: int) -> None:
    made = Transformer(2, 16, 1, 8).weights(parameters)
    assert weights.numbers(made) == parameters
    assert weights.optimizer_bytes(made, "adam") == 8 * parameters + 8


def test_the_matrices_of_our_transformer_are_those_of_the_formula(found: tuple[Weight, ...]) -> None:
    hidden = sum(weight.numbers for weight in found if weight.hidden)
    assert hidden == Transformer(1, 8, 1, 6).layer_weights == 12 * 8**2


def test_a_square_matrix_stands_for_weights_of_unknown_shape() -> None:
    assert weights.numbers(weights.alike(1_000_003)) == 1_000_003
    assert weights.optimizer_bytes(weights.alike(1_000_000), "adafactor") == 4 * (1000 + 1000) + 8


def test_only_the_divided_dimension_gets_smaller() -> None:
    assert Weight((6, 10), divided=1).split(4).shape == (6, 3)  # 10 / 4, rounded up.
    assert Weight((6, 10), divided=0).split(2).shape == (3, 10)
    assert Weight((6, 10)).split(2).shape == (6, 10)
