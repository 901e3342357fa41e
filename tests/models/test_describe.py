"""Costs by arithmetic, and by what papers publish."""

from __future__ import annotations

import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.models import ModelConfig, building
from tfday7.models.describe import describe

layers = keras.layers


def _problem(kind: str, *shape: int, classes: int = 10) -> Problem:
    vocabulary = tuple("abcdefgh") if kind == "text" else ()
    return Problem("classification", kind, shape, classes, tuple(map(str, range(classes))), vocabulary=vocabulary)


def test_ds_cnn_on_a_spectrogram_by_arithmetic() -> None:
    """Hello Edge, table 1, gives 5.4 million operations, of which a multiply-accumulate is two."""
    found = describe(building.build(ModelConfig(model="ds_cnn"), _problem("image", 49, 10, 1, classes=12)))
    places = 25 * 5
    assert found.macs_by_layer_type == {
        "Conv2D": places * (10 * 4 * 64 + 4 * 64 * 64),
        "DepthwiseConv2D": 4 * places * 3 * 3 * 64,
        "Dense": 64 * 12,
    }
    assert found.macs == sum(found.macs_by_layer_type.values()) == 2_656_768
    assert 2 * found.macs == pytest.approx(5.4e6, rel=0.02)
    assert found.parameters == 24_908
    assert found.trainable_parameters == 24_908 - 9 * 2 * 64  # Means and variances are not trained.
    layers_of_64 = 3 * 9  # A convolution, its normalization and its activation, nine times.
    assert found.activation_bytes == 4 * (layers_of_64 * places * 64 + 64 + 12)


@pytest.mark.parametrize(
    ("make", "published"),
    [("MobileNetV2", 300e6), ("MobileNet", 569e6), ("ResNet50", 3.86e9), ("VGG16", 15.5e9)],
)
def test_models_cost_what_their_papers_say(make: str, published: float) -> None:
    found = describe(getattr(keras.applications, make)(weights=None))
    assert found.macs == pytest.approx(published, rel=0.02)


def test_the_transformer_by_arithmetic() -> None:
    found = describe(building.build(ModelConfig(model="transformer", width=16, depth=3), _problem("text", 8)))
    dense = 3 * 8 * (4 * 16 * 16 + 2 * 16 * 64) + 16 * 10
    attention = 3 * 2 * 8 * 8 * 16  # Scores and mixtures, of all heads together.
    assert found.macs_by_layer_type == {"Dense": dense, "TFOpLambda": attention, "Dot": 8 * 16}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.LSTM(5), (7, 3), 7 * 4 * (3 * 5 + 5 * 5)),
        (layers.GRU(5), (7, 3), 7 * 3 * (3 * 5 + 5 * 5)),
        (layers.Bidirectional(layers.LSTM(5)), (7, 3), 2 * 7 * 4 * (3 * 5 + 5 * 5)),
        (layers.Conv2DTranspose(4, 2, 2), (3, 3, 5), 3 * 3 * 2 * 2 * 5 * 4),
        (layers.SeparableConv2D(6, 3, padding="same"), (4, 4, 2), 4 * 4 * (3 * 3 * 2 + 2 * 6)),
        (layers.Conv2D(4, 1, groups=2), (3, 3, 8), 3 * 3 * 4 * 4),
        (layers.Conv1D(4, 3), (9, 2), 7 * 3 * 2 * 4),
        (layers.Dense(5), (6, 3), 6 * 3 * 5),
        (layers.BatchNormalization(), (6, 3), 0),
        (layers.Embedding(9, 4), (6,), 0),
    ],
)
def test_each_layer_by_arithmetic(layer: keras.layers.Layer, shape: tuple[int, ...], expected: int) -> None:
    inputs = keras.Input(shape)
    assert describe(keras.Model(inputs, layer(inputs))).macs == expected


def test_shared_layers_count_each_time_and_nested_models_count() -> None:
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    found = describe(keras.Model(inputs, inner(shared(shared(inputs)))))
    assert found.macs == 2 * 4 * 4 + 4 * 3


def test_what_has_no_rule_is_named_and_the_total_unknown() -> None:
    inputs = keras.Input((4, 6))
    attention = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    product = tf.einsum("abc,abd->acd", attention, inputs)
    found = describe(keras.Model(inputs, product))
    assert found.macs is None
    assert found.not_counted["attention"] == "no rule for MultiHeadAttention"
    assert "no rule for tf.einsum" in found.not_counted.values()
    open_size = keras.Input((None, 3))
    assert describe(keras.Model(open_size, layers.LSTM(2)(open_size))).macs is None
