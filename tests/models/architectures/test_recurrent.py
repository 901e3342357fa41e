"""LSTM and GRU: size by arithmetic, states by Keras's own layers."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building

MEAN, STD = np.ones(3, np.float32), np.full(3, 2.0, np.float32)
SERIES = Problem("classification", "series", (7, 3), 2, ("a", "b"), feature_mean=MEAN, feature_std=STD)


@pytest.mark.parametrize(("name", "gates", "biases"), [("lstm", 4, 1), ("gru", 3, 2)])
def test_parameters_by_arithmetic(name: str, gates: int, biases: int) -> None:
    model = building.build(ModelConfig(model=name, width=5, depth=2), SERIES)
    first, second = (gates * (entering * 5 + 5 * 5 + biases * 5) for entering in (3, 5))
    assert model.count_params() == first + second + (5 * 2 + 2)


@pytest.mark.parametrize(("name", "kind"), [("lstm", keras.layers.LSTM), ("gru", keras.layers.GRU)])
def test_the_last_state_of_the_standardized_series_counts(name: str, kind: type) -> None:
    model = building.build(ModelConfig(model=name, width=5), SERIES)
    x = np.random.default_rng(0).normal(size=(3, 7, 3)).astype(np.float32)
    layer = kind(5)
    standardized = (x - 1.0) / 2.0
    layer(standardized)
    layer.set_weights(model.get_layer(f"{name}_1").get_weights())
    expected = model.get_layer("logits")(layer(standardized)).numpy()
    np.testing.assert_allclose(model(x).numpy(), expected, atol=1e-6)


def test_a_gru_refuses_more_steps_than_it_unrolls() -> None:
    problem = Problem("classification", "series", (257, 1), 2, ("a", "b"))
    with pytest.raises(UserError, match="at most 256 steps; the examples have 257") as caught:
        building.build(ModelConfig(model="gru"), problem)
    assert "lstm" in caught.value.hint
