"""Every kind of layer between two convolutions or Dense layers: the smaller model computes what the masked one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compression.shrink.agreement import agree

from tfday7.compression import shrink
from tfday7.compression.shrink import visit
from tfday7.core.frameworks import keras, tf
from tfday7.models import describe
from tfday7.models.door.applications import application_class

Build = Callable[[Any], Any]


def image(middle: Build) -> Any:
    """Returns a model: a convolution to 6 channels, the middle, global pooling, 3 outputs."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 2))
    x = middle(layers.Conv2D(6, 3, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.GlobalAveragePooling2D()(x)))


def series(middle: Build) -> Any:
    """Returns a model: a convolution over 8 steps to 6 channels, the middle, 3 outputs."""
    layers = keras.layers
    inputs = keras.Input((8, 2))
    x = middle(layers.Conv1D(6, 3, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Flatten()(x)))


def volume(middle: Build) -> Any:
    """Returns a model: a convolution in space to 4 channels, the middle, 3 outputs."""
    layers = keras.layers
    inputs = keras.Input((4, 4, 4, 1))
    x = middle(layers.Conv3D(4, 2, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Flatten()(x)))


def flat(middle: Build) -> Any:
    """Returns a model: a Dense layer of 12 units, the middle, 3 outputs."""
    inputs = keras.Input((5,))
    x = middle(keras.layers.Dense(12, activation="relu", name="first")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(keras.layers.Flatten()(x)))


def squeeze_and_excite(x: Any) -> Any:
    layers = keras.layers
    scale = layers.GlobalAveragePooling2D()(x)
    scale = layers.Reshape((1, 1, 6))(scale)
    scale = layers.Conv2D(4, 1, activation="relu", name="squeeze")(scale)
    return layers.Multiply()([x, layers.Conv2D(6, 1, activation="sigmoid", name="excite")(scale)])


def twin(x: Any) -> Any:
    return keras.layers.Conv2D(6, 1)(x)


def scored(x: Any, scores: Any) -> Any:
    return x * tf.reduce_mean(tf.reduce_sum(scores, axis=1), axis=-1, keepdims=True)


def residual(x: Any) -> Any:
    layers = keras.layers
    inner = layers.Conv2D(6, 3, padding="same", activation="relu", name="inner")(x)
    return layers.Add()([x, layers.Conv2D(6, 3, padding="same", name="outer")(inner)])


IMAGE: dict[str, Build] = {
    "conv": lambda x: keras.layers.Conv2D(8, 3, activation="relu")(x),
    "strided conv without bias": lambda x: keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x),
    "dilated conv": lambda x: keras.layers.Conv2D(8, 3, dilation_rate=2)(x),
    "grouped conv": lambda x: keras.layers.Conv2D(9, 3, groups=3, name="grouped")(x),
    "conv in as many groups as channels": lambda x: keras.layers.Conv2D(6, 3, groups=6)(x),
    "transposed conv": lambda x: keras.layers.Conv2DTranspose(8, 3, strides=2, activation="relu")(x),
    "depthwise": lambda x: keras.layers.DepthwiseConv2D(3)(x),
    "depthwise with multiplier": lambda x: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x),
    "separable": lambda x: keras.layers.SeparableConv2D(8, 3, activation="relu")(x),
    "separable with multiplier": lambda x: keras.layers.SeparableConv2D(8, 3, depth_multiplier=3)(x),
    "batch normalization": lambda x: keras.layers.BatchNormalization()(x),
    "batch normalization without scale": lambda x: keras.layers.BatchNormalization(scale=False, center=False)(x),
    "relu": lambda x: keras.layers.ReLU(6.0, negative_slope=0.1)(x),
    "prelu": lambda x: keras.layers.PReLU()(x),
    "prelu shared": lambda x: keras.layers.PReLU(shared_axes=[1, 2])(x),
    "leaky relu": lambda x: keras.layers.LeakyReLU()(x),
    "elu": lambda x: keras.layers.ELU()(x),
    "swish": lambda x: keras.layers.Activation("swish")(x),
    "max pooling": lambda x: keras.layers.MaxPooling2D()(x),
    "average pooling": lambda x: keras.layers.AveragePooling2D(3, padding="same")(x),
    "padding": lambda x: keras.layers.ZeroPadding2D(1)(x),
    "cropping": lambda x: keras.layers.Cropping2D(1)(x),
    "upsampling": lambda x: keras.layers.UpSampling2D(2, interpolation="bilinear")(x),
    "dropout": lambda x: keras.layers.SpatialDropout2D(0.2)(keras.layers.Dropout(0.5)(x)),
    "noise": lambda x: keras.layers.GaussianNoise(0.2)(x),
    "rescaling": lambda x: keras.layers.Rescaling(0.5, 0.1)(x),
    "residual": residual,
    "squeeze and excite": squeeze_and_excite,
    "concatenation": lambda x: keras.layers.Concatenate()([x, keras.layers.Conv2D(4, 1, name="side")(x)]),
    "concatenation with itself": lambda x: keras.layers.Concatenate()([x, x]),
    "concatenation of rows": lambda x: keras.layers.Concatenate(axis=1)([x, keras.layers.Conv2D(6, 1)(x)]),
    "subtraction": lambda x: keras.layers.Subtract()([x, keras.layers.Conv2D(6, 1)(x)]),
    "maximum": lambda x: keras.layers.Maximum()([x, keras.layers.Conv2D(6, 1)(x)]),
    "average of three": lambda x: keras.layers.Average()([x, keras.layers.Conv2D(6, 1)(x), keras.layers.ReLU()(x)]),
    "vector times image": lambda x: keras.layers.Multiply()([x, keras.layers.GlobalMaxPooling2D()(x)]),
    "permute and back": lambda x: keras.layers.Permute((2, 3, 1))(keras.layers.Permute((3, 1, 2))(x)),
    "dense over pixels": lambda x: keras.layers.Dense(7, activation="gelu")(x),
    "flatten, dense, image": lambda x: keras.layers.Conv2D(3, 1)(
        keras.layers.Reshape((2, 2, 6))(keras.layers.Dense(24, name="wide")(keras.layers.Flatten()(x)))
    ),
    "global pooling that keeps axes": lambda x: keras.layers.Multiply()(
        [x, keras.layers.GlobalAveragePooling2D(keepdims=True)(x)]
    ),
    "einsum": lambda x: keras.layers.EinsumDense("abcd,de->abce", (None, None, 7), bias_axes="e")(x),
    "einsum without bias": lambda x: keras.layers.EinsumDense("abcd,de->abce", (None, None, 7))(x),
    "einsum of an ellipsis": lambda x: keras.layers.EinsumDense("...d,de->...e", 7, bias_axes="e")(x),
    "einsum that sums channels in each row": lambda x: keras.layers.Reshape((8, 1, 5))(
        keras.layers.TimeDistributed(keras.layers.EinsumDense("bct,td->bd", (5,)))(
            keras.layers.Permute((1, 3, 2))(keras.layers.Conv2D(4, 1)(x))
        )
    ),
    "flatten, dense, activation, image": lambda x: keras.layers.Conv2D(3, 1)(
        keras.layers.ReLU()(keras.layers.Reshape((2, 2, 6))(keras.layers.Dense(24)(keras.layers.Flatten()(x))))
    ),
    "layer scale": lambda x: application_class("tf_keras", "LayerScale")(1e-6, 6)(x),
    "scaled sum": lambda x: application_class("tf_keras", "CustomScaleLayer")(0.3)([x, twin(x)]),
    "dropout by rows": lambda x: keras.layers.Dropout(0.5, noise_shape=(None, None, 1, 1))(x),
    "resized": lambda x: tf.image.resize(x, (5, 3)),
    "pooled by functions": lambda x: tf.nn.avg_pool(tf.nn.max_pool(x, 2, 2, "VALID"), 2, 1, "SAME"),
}
SERIES: dict[str, Build] = {
    "conv": lambda x: keras.layers.Conv1D(8, 3, padding="causal", activation="relu")(x),
    "transposed": lambda x: keras.layers.Conv1DTranspose(8, 3, strides=2)(x),
    "depthwise": lambda x: keras.layers.DepthwiseConv1D(3, depth_multiplier=2)(x),
    "separable": lambda x: keras.layers.SeparableConv1D(8, 3)(x),
    "pooling": lambda x: keras.layers.AveragePooling1D()(keras.layers.MaxPooling1D()(x)),
    "padding and cropping": lambda x: keras.layers.Cropping1D(2)(keras.layers.ZeroPadding1D(1)(x)),
    "upsampling": lambda x: keras.layers.UpSampling1D(2)(x),
    "time distributed": lambda x: keras.layers.TimeDistributed(keras.layers.Dense(7, activation="tanh"))(x),
    "global pooling and repeat": lambda x: keras.layers.RepeatVector(3)(keras.layers.GlobalMaxPooling1D()(x)),
    "attention over itself": lambda x: keras.layers.MultiHeadAttention(4, 3)(x, x),
    "attention with other values": lambda x: keras.layers.MultiHeadAttention(4, 3, value_dim=2, output_shape=5)(
        x, keras.layers.Conv1D(4, 1)(x), keras.layers.Dense(6)(x)
    ),
    "attention without bias, residual": lambda x: keras.layers.Add()(
        [x, keras.layers.MultiHeadAttention(2, 3, use_bias=False)(x, x)]
    ),
    "dot product attention": lambda x: keras.layers.Attention()(
        [keras.layers.Dense(4, name="query")(x), keras.layers.Dense(6, name="value")(x), keras.layers.Dense(4)(x)]
    ),
    "einsum to heads": lambda x: keras.layers.EinsumDense("bthd,hde->bte", (None, 5), bias_axes="e")(
        keras.layers.EinsumDense("btc,chd->bthd", (None, 4, 3), bias_axes="hd")(x)
    ),
    "einsum to heads in front": lambda x: keras.layers.EinsumDense("bhtd,hde->bte", (None, 5), bias_axes="e")(
        keras.layers.EinsumDense("btc,chd->bhtd", (4, None, 3), bias_axes="hd")(x)
    ),
    "einsum before an ellipsis": lambda x: keras.layers.EinsumDense("ac...,cd->ad...", 7, bias_axes="d")(
        keras.layers.Permute((2, 1))(x)
    ),
    "einsum that sums channels": lambda x: keras.layers.EinsumDense("bct,td->bd", (5,))(
        keras.layers.Permute((2, 1))(x)
    ),
    "attention with a mask": lambda x: keras.layers.MultiHeadAttention(2, 3)(
        x, x, attention_mask=tf.matmul(x, x, transpose_b=True) > 0.0
    ),
    "attention with a mask a head": lambda x: keras.layers.MultiHeadAttention(2, 3)(
        x, x, attention_mask=tf.stack([tf.matmul(x, x, transpose_b=True) > 0.0] * 2, axis=1)
    ),
    "attention and its scores": lambda x: scored(
        *keras.layers.MultiHeadAttention(4, 3)(x, x, return_attention_scores=True)
    ),
    "dot product attention with masks": lambda x: keras.layers.Attention()(
        [keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)], mask=[tf.reduce_sum(x, -1) > 0.0] * 2
    ),
    "softmax with a mask": lambda x: keras.layers.Softmax(axis=1)(x, mask=keras.layers.Conv1D(6, 1)(x) > 0.0),
    "turned and flattened": lambda x: keras.layers.Flatten("channels_first")(keras.layers.Permute((2, 1))(x)),
    "dot": lambda x: keras.layers.Dot(axes=2)([x, keras.layers.Conv1D(6, 1)(x)]),
    "layer normalization of steps": lambda x: keras.layers.LayerNormalization(axis=1)(x),
}
VOLUME: dict[str, Build] = {
    "conv": lambda x: keras.layers.Conv3D(4, 2)(x),
    "transposed": lambda x: keras.layers.Conv3DTranspose(4, 2)(x),
    "pooling and padding": lambda x: keras.layers.MaxPooling3D()(keras.layers.ZeroPadding3D(1)(x)),
}
FLAT: dict[str, Build] = {
    "dense": lambda x: keras.layers.Dense(8, activation="tanh")(x),
    "dense without bias": lambda x: keras.layers.Dense(8, use_bias=False)(x),
    "reshape to heads": lambda x: keras.layers.Reshape((4, 3))(x),
    "reshape and back": lambda x: keras.layers.Reshape((12,))(keras.layers.Reshape((3, 4))(x)),
    "reshape to one": lambda x: keras.layers.Flatten()(keras.layers.Reshape((1, 12, 1))(x)),
    "batch normalization": lambda x: keras.layers.BatchNormalization()(x),
    "reshape of one number": lambda x: keras.layers.Multiply()(
        [x, keras.layers.Reshape((1,))(keras.layers.Reshape((1, 1))(keras.layers.Dense(1)(x)))]
    ),
    "initializer of an array": lambda x: keras.layers.Dense(
        8, kernel_initializer=keras.initializers.Constant(np.eye(12, 8))
    )(x),
    "alpha dropout": lambda x: keras.layers.AlphaDropout(0.1)(keras.layers.Activation("selu")(x)),
}
TABLE = [
    pytest.param(frame, build, id=f"{frame.__name__}: {name}")
    for frame, table in ((image, IMAGE), (series, SERIES), (volume, VOLUME), (flat, FLAT))
    for name, build in table.items()
]


@pytest.mark.parametrize(("frame", "build"), TABLE)
def test_the_smaller_model_is_the_masked_one(frame: Callable[[Build], Any], build: Build) -> None:
    keras.backend.clear_session()
    plan, smaller = agree(frame(build))
    assert any(one.group.name == "first" for one in plan.groups)
    assert plan.macs is None or describe.describe(smaller).macs == plan.macs[1]


def test_parameters_of_a_residual_block_are_what_arithmetic_says() -> None:
    plan, _ = agree(image(residual))
    first, inner, outer = 2 * 9 * 3 + 3, 3 * 9 * 3 + 3, 3 * 9 * 3 + 3
    assert plan.parameters[1] == first + inner + outer + (3 * 3 + 3)
    assert {frozenset(one.group.members) for one in plan.groups} == {
        frozenset(("first", "outer")),
        frozenset(("inner",)),
    }


def test_heads_go_whole() -> None:
    keras.backend.clear_session()
    model = series(lambda x: keras.layers.MultiHeadAttention(4, 3, name="attention")(x, x))
    plan, smaller = agree(model, ratio=0.5)
    layer = smaller.get_layer("attention")
    assert layer.get_config()["num_heads"] == 2
    assert layer._query_dense.kernel.shape == (3, 2, 3)
    heads = next(one for one in plan.groups if one.group.kind == "heads")
    kept = np.asarray(model.get_layer("attention")._query_dense.bias)[heads.kept]
    np.testing.assert_array_equal(np.asarray(layer._query_dense.bias), kept)


MASKS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "of all heads": (lambda same: same[:, tf.newaxis], 1),
    "of all heads and queries": (lambda same: same[:, tf.newaxis, :1], 1),
    "of each head": (lambda same: tf.stack([same, ~same], axis=1), 2),
}


@pytest.mark.parametrize(("shaped", "heads"), MASKS.values(), ids=MASKS)
def test_heads_stay_only_where_each_has_a_mask_of_its_own(shaped: Callable[[Any], Any], heads: int) -> None:
    keras.backend.clear_session()

    def attended(x: Any) -> Any:
        mask = shaped(tf.matmul(x, x, transpose_b=True) > 0.0)
        return keras.layers.MultiHeadAttention(2, 3, name="attention")(x, x, attention_mask=mask)

    _, smaller = agree(series(attended))
    assert smaller.get_layer("attention").get_config()["num_heads"] == heads


def test_heads_go_where_a_mask_of_two_axes_has_none_of_heads() -> None:
    keras.backend.clear_session()

    def attended(x: Any) -> Any:
        mask = tf.einsum("bijc,bklc->bijkl", x, x) > 0.0
        layer = keras.layers.MultiHeadAttention(2, 3, attention_axes=(1, 2), name="attention")
        return layer(x, x, attention_mask=mask)

    _, smaller = agree(image(attended))
    assert smaller.get_layer("attention").get_config()["num_heads"] == 1


def test_groups_of_a_convolution_go_whole() -> None:
    model = image(lambda x: keras.layers.Conv2D(9, 3, groups=3, name="grouped")(x))
    plan, smaller = agree(model, ratio=0.3)
    layer = smaller.get_layer("grouped")
    assert (layer.groups, layer.filters, layer.kernel.shape) == (2, 6, (3, 3, 2, 6))
    assert [(one.group.kind, one.before, one.after) for one in plan.groups] == [("groups", 3, 2)]


def my_activation(x: Any) -> Any:
    return x / (1 + keras.backend.sum(keras.backend.abs(x), axis=-1, keepdims=True))


KEPT: dict[str, tuple[Build, str]] = {
    "layer normalization": (lambda x: keras.layers.LayerNormalization()(x), "normalized together"),
    "group normalization": (lambda x: keras.layers.GroupNormalization(2)(x), "normalized together"),
    "softmax": (lambda x: keras.layers.Softmax()(x), "made to add up to one"),
    "activation across channels": (lambda x: keras.layers.Activation("softmax")(x), "activation 'softmax'"),
    "lambda": (lambda x: keras.layers.Lambda(lambda y: y * 2)(x), "unknown layer Lambda"),
    "added to what cannot go": (lambda x: keras.layers.Add()([x, x[:, :, :, :1]]), "spread over"),
    "channels moved over": (
        lambda x: keras.layers.Conv2D(4, 2, name="over")(keras.layers.Permute((3, 1, 2))(x)),
        "moved over by",
    ),
    "scale of each channel": (lambda x: keras.layers.Rescaling([1, 2, 3, 4, 5, 6])(x), "numbers of its own"),
    "dropout of a pattern": (lambda x: keras.layers.Dropout(0.5, (None, 1, 1, 6))(x), "dropped by a pattern"),
    "batch normalization of rows": (lambda x: keras.layers.BatchNormalization(axis=[1, 3])(x), "along several axes"),
    "masking": (lambda x: keras.layers.Masking()(x), "what decides which steps count in"),
    "cosine": (
        lambda x: keras.layers.Reshape((6, 6, 1))(
            keras.layers.Dot(axes=2, normalize=True)([keras.layers.Reshape((6, 36))(x)] * 2)
        ),
        "brought to length one by",
    ),
    "own activation": (lambda x: keras.layers.Activation(my_activation)(x), "activation 'my_activation'"),
}


@pytest.mark.parametrize(("build", "reason"), KEPT.values(), ids=KEPT)
def test_what_cannot_go_is_kept_with_its_reason(build: Build, reason: str) -> None:
    keras.backend.clear_session()
    keras.saving.register_keras_serializable("tests")(my_activation)
    inputs = keras.Input((8, 8, 2))
    x = build(keras.layers.Conv2D(6, 3, name="first")(inputs))
    x = keras.layers.Conv2D(6, 3, name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x)))
    plan, _ = agree(model)
    assert "first" not in {one.group.name for one in plan.groups}
    assert reason in next(one.reason for one in plan.skipped if one.layer == "first")


def test_what_stays_beside_channels_stays_where_it_is() -> None:
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Concatenate()([inputs, keras.layers.Conv2D(6, 3, padding="same", name="first")(inputs)])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="second")(x))
    plan, smaller = agree(keras.Model(inputs, keras.layers.Dense(3)(x)))
    assert [(one.group.name, one.after) for one in plan.groups] == [("first", 3), ("second", 2)]
    assert smaller.get_layer("second").kernel.shape == (3, 3, 2 + 3, 2)


def test_groups_over_the_input_stay() -> None:
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(8, 3, groups=2, name="grouped")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 1, name="free")(x))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(3)(x)))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert "made from channels that cannot go" in next(one.reason for one in plan.skipped if one.layer == "grouped")


def test_a_normalization_computes_with_its_statistics() -> None:
    normalization = keras.layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3.0, 2.0, (50, 5)))
    inputs = keras.Input((5,))
    x = keras.layers.Dense(12, activation="tanh")(normalization(inputs))
    agree(keras.Model(inputs, keras.layers.Dense(3)(x)), random_weights=False)


def test_a_layer_has_one_rule() -> None:
    with pytest.raises(ValueError, match="two rules for Dense"):
        visit.rule("Dense")(lambda call: [])


def test_a_layer_of_the_users_own_is_left_alone() -> None:
    class Mine(keras.layers.Dense):
        def call(self, inputs: Any) -> Any:
            return super().call(inputs[:, ::-1])

    model = flat(lambda x: keras.layers.Dense(8, name="after")(Mine(8, name="mine")(x)))
    plan, _ = agree(model)
    assert [one.group.name for one in plan.groups] == ["after"]
    assert "unknown layer Mine 'mine'" in next(one.reason for one in plan.skipped if one.layer == "first")


def test_a_frozen_layer_and_a_regularizer_stay_what_they_are() -> None:
    model = image(lambda x: keras.layers.Conv2D(8, 3, kernel_regularizer="l2", name="frozen")(x))
    model.get_layer("frozen").trainable = False
    smaller = shrink.plan(model, ratio=0.5, round_to=1).apply()
    layer = smaller.get_layer("frozen")
    assert not layer.trainable
    assert layer.kernel_regularizer is not None
    assert len(smaller.losses) == len(model.losses)
