"""What rounds: values to 256 steps of a range, weights to 127 steps to each side, against plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.compression.qat import layers
from tfday7.core.frameworks import keras, tf


def quantizer(low: float, high: float, **settings: object) -> layers.FakeQuantize:
    made = layers.FakeQuantize(**settings)
    made.build((None, 3))
    made.set_ends(low, high)
    return made


def test_values_are_rounded_to_the_256_steps_of_the_range_and_cut_off_outside() -> None:
    made = quantizer(0.0, 2.55)  # Steps of 0.01.
    values = made(tf.constant([[0.0, 0.014, 0.016, 1.0, 9.0, -9.0]]), training=False)
    np.testing.assert_allclose(values, [[0.0, 0.01, 0.02, 1.0, 2.55, 0.0]], atol=1e-6)


def test_a_range_is_widened_to_hold_zero() -> None:
    assert [float(end) for end in quantizer(1.0, 2.0).ends()] == [0.0, 2.0]
    assert [float(end) for end in quantizer(-2.0, -1.0).ends()] == [-2.0, 0.0]
    assert [float(end) for end in quantizer(0.0, 0.0).ends()] == [0.0, 1.0]


def test_a_training_step_moves_the_range_towards_the_batch_and_inference_does_not() -> None:
    made = quantizer(-1.0, 1.0, decay=0.75)
    made(tf.constant([[-3.0, 0.0, 5.0]]), training=True)
    assert [float(end) for end in made.ends()] == pytest.approx([0.75 * -1 + 0.25 * -3, 0.75 * 1 + 0.25 * 5])
    before = [float(end) for end in made.ends()]
    made(tf.constant([[-30.0, 0.0, 50.0]]), training=False)
    made(tf.constant([[-30.0, 0.0, 50.0]]), training=True, observe=False)
    assert [float(end) for end in made.ends()] == before


def test_what_the_export_calibrates_is_rounded_in_training_alone() -> None:
    made = quantizer(0.0, 2.55, exported=False, decay=0.0)
    values = tf.constant([[0.0, 0.014, 2.55]])
    np.testing.assert_array_equal(made(values, training=False), values)
    np.testing.assert_allclose(made(values, training=True), [[0.0, 0.01, 2.55]], atol=1e-6)


def test_the_fixed_ranges_have_the_scales_that_tflite_fixes() -> None:
    for (low, high), scale in ((layers.UNIT, 1 / 256), (layers.SIGNED_UNIT, 1 / 128)):
        assert (high - low) / layers.STEPS == scale


def test_weights_have_127_steps_to_each_side_in_each_channel() -> None:
    weight = tf.constant([[1.27, 12.7], [0.014, 0.14], [-0.5, 0.0]])
    expected = [[1.27, 12.7], [0.01, 0.1], [-0.5, 0.0]]
    np.testing.assert_allclose(layers.rounded(weight, (0,)), expected, atol=1e-6)


def test_blocks_of_the_last_axis_have_ranges_of_their_own() -> None:
    weight = tf.constant([[1.27, 0.014, 12.7, 0.14]])
    np.testing.assert_allclose(layers.rounded(weight, None, 2), [[1.27, 0.01, 12.7, 0.1]], atol=1e-6)


def test_a_channel_of_zeros_stays_zero_and_gradients_pass_unrounded() -> None:
    weight = tf.Variable([[0.0, 0.3], [0.0, -1.0]])
    with tf.GradientTape() as tape:
        values = layers.rounded(weight, (0,))
        loss = tf.reduce_sum(values * tf.constant([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(values.numpy()[:, 0], [0.0, 0.0])
    np.testing.assert_array_equal(tape.gradient(loss, weight), [[1.0, 2.0], [3.0, 4.0]])


def test_a_layer_computes_with_rounded_weights_and_keeps_its_own() -> None:
    dense = keras.layers.Dense(2, name="dense")
    wrapped = layers.QuantizedWeights(dense, [("kernel", None, 1)])
    wrapped(tf.zeros((1, 2)))
    dense.set_weights([np.array([[1.27, 0.014], [0.016, -0.5]], np.float32), np.zeros(2, np.float32)])
    variable = dense.kernel
    np.testing.assert_allclose(wrapped(tf.eye(2)), [[1.27, 0.01], [0.02, -0.5]], atol=1e-6)
    assert dense.kernel is variable
    assert wrapped.name == "dense"


def test_the_weights_are_put_back_when_the_layer_fails() -> None:
    dense = keras.layers.Dense(2)
    wrapped = layers.QuantizedWeights(dense, [("kernel", None, 1)])
    wrapped(tf.zeros((1, 3)))
    variable = dense.kernel
    with pytest.raises(tf.errors.InvalidArgumentError):
        wrapped.call(tf.zeros((1, 4)))
    assert dense.kernel is variable


def test_a_normalization_alone_is_a_scale_and_an_offset_for_each_channel() -> None:
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 5, 2)), tf.float32)
    plain = keras.layers.BatchNormalization()
    plain.build(inputs.shape)
    plain.set_weights([np.array(each, np.float32) for each in ([2.0, 0.5], [1.0, -1.0], [0.3, -0.2], [0.7, 2.0])])
    scale = layers.QuantizedScale.from_config(plain.get_config())
    scale.build(inputs.shape)
    scale.set_weights(plain.get_weights())
    np.testing.assert_allclose(scale(inputs, training=False), plain(inputs, training=False), atol=1e-5)


@pytest.mark.parametrize("sizes", [(2,), (None, 2), (4, None, 2), (None, None, None, 2)])
def test_a_scale_and_an_offset_for_each_channel_leave_open_sizes_open(sizes: tuple[Any, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(3, *(size or 4 for size in sizes))).astype(np.float32)
    inputs = keras.Input(sizes)
    made = keras.layers.Lambda(lambda each: layers.per_channel(each, tf.constant([2.0, -0.5]), tf.constant([1.0, 0.0])))
    model = keras.Model(inputs, made(inputs))
    assert model.output_shape == (None, *sizes)
    np.testing.assert_allclose(model(x), x * [2.0, -0.5] + [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), x * [2.0, -0.5] + [1.0, 0.0], atol=1e-6)


def test_layer_normalization_in_wide_ranges_is_layer_normalization_to_a_few_steps() -> None:
    inputs = tf.constant(np.random.default_rng(0).normal(size=(6, 5, 16)), tf.float32)
    made = layers.QuantizedLayerNormalization(epsilon=1e-5)
    made(inputs)
    observers = list(made.quantizers.values())
    for each in observers:
        each.seen = []
    made(inputs, training=False)
    for each in observers:
        assert each.seen
        each.set_ends(min(each.seen), max(each.seen))
        each.seen = None
    expected = keras.layers.LayerNormalization(epsilon=1e-5)(inputs)
    assert np.abs(made(inputs, training=False) - expected).max() < 0.05 * np.abs(expected).max()
