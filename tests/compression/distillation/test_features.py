"""Hints and attention maps against their formulas, and which layers can be paired."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.compression.distillation.features import Transfer, attention_loss, attention_map, hint_loss, matching
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf


def conv_net(filters: int, name: str, size: int = 8) -> keras.Model:
    keras.utils.set_random_seed(filters)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(filters, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(filters, 3, padding="same", activation="relu", name="second"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(2, name="logits"),
        ],
        name=name,
    )


def test_an_attention_map_is_the_sum_of_squares_over_the_channels_at_length_one() -> None:
    features = np.zeros((1, 2, 1, 2), np.float32)
    features[0, 0, 0] = 1, 1  # 2
    features[0, 1, 0] = 0, 1  # 1
    np.testing.assert_allclose(attention_map(features), [[2 / np.sqrt(5), 1 / np.sqrt(5)]], rtol=1e-6)


def test_maps_without_a_place_in_common_are_one_apart_and_equal_ones_zero() -> None:
    upper, lower = np.zeros((2, 1, 2, 1, 3), np.float32)
    upper[0, 0], lower[0, 1] = 3, 7
    assert float(attention_loss(upper, lower)) == pytest.approx(0.5 * (1 + 1))
    assert float(attention_loss(upper, 5 * upper)) == pytest.approx(0)


def test_a_hint_is_missed_by_its_squared_error_in_units_of_its_square() -> None:
    assert float(hint_loss(tf.constant([[1.0, 1.0]]), tf.constant([[3.0, 1.0]]))) == pytest.approx((4 / 2) / (10 / 2))


def test_the_transfer_adds_up_the_pairs_and_has_a_regressor_for_each_hint() -> None:
    student, teacher = conv_net(2, "student"), conv_net(3, "teacher")
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    transfer = Transfer(student, teacher, "hint", [("first", "first"), ("second", "second")], 0.5)
    outputs, loss = transfer.outputs_and_loss(tf.constant(x))
    np.testing.assert_allclose(outputs, student(x), rtol=1e-5)
    expected = 0.0
    for name, regressor in zip(("first", "second"), transfer.regressors, strict=True):
        ours, theirs = (
            np.asarray(keras.Model(model.inputs, model.get_layer(name).output)(x)) for model in (student, teacher)
        )
        kernel, bias = regressor.get_weights()
        assert kernel.shape == (2, 3)
        expected += np.mean((ours @ kernel + bias - theirs) ** 2) / np.mean(theirs**2)
    assert float(loss) == pytest.approx(0.5 * expected, rel=1e-4)


def test_attention_has_no_weights_of_its_own() -> None:
    assert Transfer(conv_net(2, "student"), conv_net(3, "teacher"), "attention", [], 1.0).regressors == []


def test_layers_are_matched_by_the_size_of_their_positions() -> None:
    assert matching(conv_net(2, "student"), conv_net(3, "teacher"), "attention") == (
        ("first", "first"),
        ("second", "second"),
    )


def dense_net(units: int, name: str) -> keras.Model:
    layers = [keras.layers.Dense(units, "relu", name="hidden"), keras.layers.Dense(2, name="logits")]
    return keras.Sequential([keras.Input((3,)), *layers], name=name)


def test_hints_of_dense_layers_are_those_of_the_last_hidden_one() -> None:
    assert matching(dense_net(2, "student"), dense_net(4, "teacher"), "hint") == (("hidden", "hidden"),)


@pytest.mark.parametrize(
    ("kind", "pairs", "message"),
    [
        (
            "hint",
            [("first", "pool")],
            r"'first' of the student gives \(8, 8, 2\) and 'pool' of the teacher \(4, 4, 3\)",
        ),
        ("hint", [("nowhere", "pool")], "the student has no layer 'nowhere'"),
        ("attention", [("mean", "mean")], "'mean' gives .* no attention map"),
    ],
)
def test_layers_that_cannot_be_compared_are_refused(kind: str, pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Transfer(conv_net(2, "student"), conv_net(3, "teacher"), kind, pairs, 1.0)


def test_models_without_positions_in_common_have_no_attention_to_transfer() -> None:
    with pytest.raises(UserError, match="no layer of the student 'student'"):
        matching(dense_net(2, "student"), dense_net(4, "teacher"), "attention")
