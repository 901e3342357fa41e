"""Which weights are copied: all but the states of random generators, whatever the layers are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from models.door.trips import difference, random_weights

from tfday7.core.frameworks import keras, keras3
from tfday7.models import door
from tfday7.models.door.weights import model_weights

NAMES = ("seed_generator", "seed_generator_state", "StateVar")


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_that_is_called_as_a_random_generator_keeps_its_weights(
    name: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    trip = both_ways(functional(keras3.layers.Dense(3, name=name), (4,)))
    assert (trip.gap_in, trip.gap_out) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_such_a_layer_of_tf_keras_keeps_its_weights(name: str) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name=name)(inputs))
    random_weights(model)
    for new in (door.load(model), door.to_keras3(model)):
        assert difference(new.get_weights(), model.get_weights()) == 0


@pytest.mark.parametrize("framework_name", ["keras3", "tf_keras"])
def test_the_states_of_random_generators_are_no_weights(framework_name: str) -> None:
    framework: Any = keras3 if framework_name == "keras3" else keras
    inputs = framework.layers.Input((8, 8, 3))
    layers = [framework.layers.RandomFlip(), framework.layers.Dropout(0.5), framework.layers.GaussianNoise(0.1)]
    x = inputs
    for layer in layers:
        x = layer(x)
    model = framework.Model(inputs, x)
    assert framework_name == "tf_keras" or len(model.variables) == 3
    assert model_weights(model) == []
    kept = door.load(keras3.Sequential([keras3.Input((8, 8, 3)), keras3.layers.RandomHue(0.1)])).layers[1]
    assert len(kept.weights) == 1
    assert model_weights(keras.layers.TimeDistributed(kept)) == model_weights(kept) == []
