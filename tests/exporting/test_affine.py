"""The affine ends of a model: what is left out of it and done outside gives the same answers."""

from __future__ import annotations

import numpy as np

from tfday7.core.frameworks import keras
from tfday7.exporting.affine import core_of, equalized, offset_last


def test_a_record_has_one_mean_and_one_std_a_column() -> None:
    """Devices take them column by column; a Rescaling's offset may be one number for all."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Rescaling([640.0, 480.0])(keras.layers.Dense(2)(inputs)))
    _, _, way_out = core_of(model)
    assert way_out is not None
    assert way_out.to_json() == {"mean": [0.0, 0.0], "std": [640.0, 480.0]}


def test_outputs_of_very_different_size_become_equal_and_the_way_out_undoes_it() -> None:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Normalization(mean=2.0, variance=9.0)(inputs))
    last = keras.layers.Dense(3)
    model = keras.Model(inputs, keras.layers.Rescaling([100.0, 1.0, 1.0], [500.0, 0.0, 0.0])(last(hidden)))
    kernel, bias = last.get_weights()
    last.set_weights([kernel * [0.1, 30.0, 30.0], bias])
    x = np.random.default_rng(0).normal(2, 3, size=(50, 3)).astype(np.float32)
    core, way_in, way_out = core_of(model)
    assert way_in is not None
    assert way_out is not None
    equal, undo = equalized(core, way_out, way_in.standardize(x))
    outputs = equal.predict(way_in.standardize(x), verbose=0)
    np.testing.assert_allclose(np.abs(outputs).max(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(undo.restore(outputs), model.predict(x, verbose=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(last.get_weights()[0], (kernel * [0.1, 30.0, 30.0]).astype(np.float32))


def test_the_offset_is_a_step_of_its_own_and_the_answers_stay() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Rescaling([5.0, 2.0], [1013.0, -7.0])(keras.layers.Dense(2)(inputs)))
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    written = offset_last(model)
    np.testing.assert_array_equal(written.predict(x, verbose=0), model.predict(x, verbose=0))
    assert written.layers[-1].symbol == "math.subtract"
    without = keras.Model(inputs, keras.layers.Rescaling(5.0)(keras.layers.Dense(2)(inputs)))
    assert offset_last(without) is without
