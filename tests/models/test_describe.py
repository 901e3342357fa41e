"""Costs by arithmetic, and by what papers publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tfday7 import models
from tfday7.core.frameworks import keras, keras3, tf
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


HEADS, KEY, VALUE = 2, 3, 5
PAIRS = 7 * 4  # Of 7 queries of 6 numbers, and 4 keys of 8.
ATTENTION = 7 * 6 * HEADS * KEY + 4 * 8 * HEADS * (KEY + VALUE) + PAIRS * HEADS * (KEY + VALUE) + 7 * HEADS * VALUE * 6


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (lambda q, v: layers.MultiHeadAttention(HEADS, KEY, VALUE)(q, v), ATTENTION),
        (lambda q, v: layers.Attention()([layers.Dense(8)(q), v]), 7 * 6 * 8 + PAIRS * (8 + 8)),
        (lambda q, v: layers.Attention()([layers.Dense(9)(q), v, layers.Dense(9)(v)]), 9 * (42 + 32) + PAIRS * (9 + 8)),
        (lambda q, v: layers.EinsumDense("btc,chd->bthd", (None, 3, 4))(q), 7 * 6 * 3 * 4),
        (lambda q, v: layers.EinsumDense("...c,cd->...d", 9)(q), 7 * 6 * 9),
        (lambda q, v: layers.EinsumDense("bthd,hde->bte", (None, 9))(layers.Reshape((7, 2, 3))(q)), 7 * 6 * 9),
        (lambda q, v: tf.einsum("bqc,bvd->bqvcd", q, v), PAIRS * 6 * 8),
        (lambda q, v: tf.einsum("btc->bct", q), 0),
        (lambda q, v: tf.matmul(q, tf.ones((1, 5, 6)), transpose_b=True), 7 * 6 * 5),
        (lambda q, v: tf.matmul(tf.ones((1, 5, 7)), q), 5 * 7 * 6),
        (lambda q, v: tf.matmul([[[1.0] * 7] * 5], q), 5 * 7 * 6),
        (lambda q, v: tf.matmul(q, tf.ones((1, 7, 5)), True), 6 * 7 * 5),
        (lambda q, v: tf.matmul(q, tf.ones((1, 7, 5)), adjoint_a=True), 6 * 7 * 5),
        (lambda q, v: tf.matmul(q, tf.ones((1, 5, 6)), False, True), 7 * 6 * 5),
        (lambda q, v: layers.AdditiveAttention(use_scale=False)([layers.Dense(8)(q), v]), 7 * 6 * 8 + PAIRS * 8),
        (lambda q, v: layers.AdditiveAttention()([layers.Dense(8)(q), v]), 7 * 6 * 8 + PAIRS * (8 + 8)),
    ],
)
def test_products_of_two_tensors_by_arithmetic(product: Callable[[Any, Any], Any], expected: int) -> None:
    queries, values = keras.Input((7, 6)), keras.Input((4, 8))
    found = describe(keras.Model([queries, values], [product(queries, values), values]))
    assert found.macs == expected


def test_attention_over_one_axis_of_several() -> None:
    inputs = keras.Input((3, 5, 8))
    product = layers.MultiHeadAttention(HEADS, KEY, attention_axes=2)(inputs, inputs)
    projections = 4 * 15 * 8 * HEADS * KEY
    assert describe(keras.Model(inputs, product)).macs == projections + 3 * 5 * 5 * HEADS * 2 * KEY


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (lambda q, v: keras3.ops.einsum("bqc,bvd->bqvcd", q, v), PAIRS * 6 * 8),
        (lambda q, v: keras3.ops.matmul(keras3.ops.ones((5, 7)), q), 5 * 7 * 6),
        (lambda q, v: keras3.ops.transpose(q, (0, 2, 1)), 0),
        (lambda q, v: keras3.ops.tensordot(q, v, axes=0), "no rule for the operation Tensordot"),
    ],
)
def test_operations_of_keras_3_by_arithmetic(product: Callable[[Any, Any], Any], expected: int | str) -> None:
    queries, values = keras3.layers.Input((7, 6)), keras3.layers.Input((4, 8))
    found = describe(models.load(keras3.Model([queries, values], [product(queries, values), values])))
    assert (found.macs, *found.not_counted.values()) in ((expected,), (None, expected))


def test_what_has_no_rule_is_named_and_the_total_unknown() -> None:
    inputs = keras.Input((4, 6))
    product = tf.tensordot(inputs, tf.ones((6, 2)), 1)
    found = describe(keras.Model(inputs, product))
    assert found.macs is None
    assert list(found.not_counted.values()) == ["no rule for tf.tensordot"]


class Squared(keras.layers.Layer):  # type: ignore[misc]
    """Multiplies, and has no weights."""

    def call(self, x: Any) -> Any:
        return tf.matmul(x, x, transpose_b=True)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: tf.nn.conv1d(x, tf.ones((3, 6, 2)), 1, "SAME"), "no rule for tf.nn.conv1d"),
        (
            lambda x: tf.nn.conv2d_transpose(x[..., None], tf.ones((2, 2, 5, 1)), (1, 8, 12, 5), 2),
            "nn.conv2d_transpose",
        ),
        (lambda x: tf.linalg.inv(x[..., :4]), "no rule for tf.linalg.inv"),
        (layers.Lambda(lambda x: tf.matmul(x, x, transpose_b=True)), "no rule for Lambda, whose code may multiply"),
        (Squared(), "no rule for Squared, whose code may multiply"),
    ],
)
def test_code_that_may_multiply_does_not_count_as_nothing(function: Callable[[Any], Any], reason: str) -> None:
    inputs = keras.Input((4, 6), 1)
    found = describe(keras.Model(inputs, function(inputs)))
    assert found.macs is None
    assert any(reason in said for said in found.not_counted.values())


def test_functions_that_do_not_multiply_count_nothing() -> None:
    inputs = keras.Input((4, 6))
    x = tf.linalg.l2_normalize(tf.convert_to_tensor(tf.nn.relu(inputs)), -1)
    assert describe(keras.Model(inputs, x)).macs == 0


@pytest.mark.parametrize(
    ("shape", "layer"),
    [((None, 3), layers.LSTM(2)), ((None, 32, 2), layers.Conv2D(4, 3)), ((None, 5, 3), layers.Dense(4))],
)
def test_an_open_size_makes_the_total_unknown(shape: tuple[int | None, ...], layer: Any) -> None:
    inputs = keras.Input(shape)
    found = describe(keras.Model(inputs, layer(inputs)))
    assert found.macs is None
    assert "is open" in found.not_counted[layer.name]
