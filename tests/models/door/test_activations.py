"""Which activations are the same function in both Kerases, and which only share their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfday7.core.frameworks import keras, keras3
from tfday7.models import door
from tfday7.models.door import activations

GRID = np.linspace(-8, 8, 4001, dtype="float32").reshape(1, -1)


@pytest.mark.parametrize("name", sorted(activations._SAME))
def test_functions_that_are_carried_over_by_name_are_equal_on_a_grid(name: str) -> None:
    ours = keras.activations.get(name)(keras.backend.constant(GRID))
    theirs = keras3.activations.get(name)(keras3.ops.convert_to_tensor(GRID))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("name", sorted(activations.KERAS3_ONLY))
def test_functions_that_are_given_to_tf_keras_are_keras3s_own_and_can_be_saved(name: str) -> None:
    given = activations.given(name)
    assert activations.given(name) is given
    assert keras.activations.deserialize(keras.activations.serialize(given)) is given
    grid = GRID[:, :4000]  # An even number, which glu halves.
    theirs = keras3.activations.get(name)(keras3.ops.convert_to_tensor(grid))
    np.testing.assert_array_equal(np.asarray(given(keras.backend.constant(grid))), np.asarray(theirs))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", sorted(activations.TENSORFLOWS))
def test_tensorflows_functions_that_tf_keras_knows_by_name_come_in_and_go_out(
    name: str, ending: str, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input((4000,)), keras.layers.Activation(name)])
    model.save(tmp_path / f"given{ending}")
    expected = model(GRID[:, :4000]).numpy()
    inside = door.load(tmp_path / f"given{ending}")
    door.save(inside, tmp_path / "out.keras")
    for new in (inside, keras3.models.load_model(tmp_path / "out.keras"), door.load(tmp_path / "out.keras")):
        np.testing.assert_array_equal(np.asarray(new(GRID[:, :4000])), expected)


def test_the_two_hard_sigmoids_are_told_apart() -> None:
    x = keras.backend.constant([1.0])
    assert float(keras.activations.hard_sigmoid(x)[0]) == pytest.approx(0.2 * 1 + 0.5)
    assert float(activations.given("hard_sigmoid")(x)[0]) == pytest.approx((1 + 3) / 6)
