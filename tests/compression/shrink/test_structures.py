"""Graphs beyond a chain: shared layers, models inside models, several inputs and outputs, TensorFlow functions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compression.shrink.agreement import agree, gap, inputs_for, outputs

from tfday7 import models
from tfday7.compression import shrink
from tfday7.compression.shrink.atoms import Atoms
from tfday7.compression.shrink.visit import Visit
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import describe


def test_a_shared_layer_keeps_the_same_channels_in_both_places() -> None:
    left, right = keras.Input((5,)), keras.Input((5,))
    first, second = keras.layers.Dense(8, name="first"), keras.layers.Dense(6, name="second")
    ends = [second(first(one)) for one in (left, right)]
    model = keras.Model([left, right], keras.layers.Dense(2)(keras.layers.Subtract()(ends)))
    plan, smaller = agree(model)
    assert [(one.group.name, one.before, one.after) for one in plan.groups] == [("first", 8, 4), ("second", 6, 3)]
    assert plan.parameters[1] == (5 * 4 + 4) + (4 * 3 + 3) + (3 * 2 + 2)
    assert len(smaller.get_layer("first").inbound_nodes) == 2


def test_what_a_shared_layer_reads_in_two_places_goes_together() -> None:
    inputs = keras.Input((5,))
    shared = keras.layers.Dense(6, name="shared")
    a, b = keras.layers.Dense(8, name="a")(inputs), keras.layers.Dense(8, name="b")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([shared(a), shared(b)])))
    plan, _ = agree(model)
    assert {tuple(sorted(one.group.members)) for one in plan.groups} == {("a", "b"), ("shared",)}


def test_a_shared_layer_that_reads_an_input_too_must_read_all() -> None:
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(8, name="shared")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(6, name="free")(shared(shared(inputs)))))
    plan, _ = agree(model)
    assert [one.group.name for one in plan.groups] == ["free"]
    assert "shared Dense 'shared'" in plan.skipped[0].reason


def encoder(name: str = "encoder") -> Any:
    layers = keras.layers
    return keras.Sequential([layers.Input((4, 4, 6)), layers.Conv2D(8, 3), layers.ReLU(), layers.Conv2D(6, 2)], name)


def test_a_shared_einsum_reads_as_many_steps_as_there_are_in_each_place() -> None:
    short, long = keras.Input((4, 5)), keras.Input((8, 5))
    shared = keras.layers.EinsumDense("btc,cd->btd", (None, 6), bias_axes="d", name="shared")
    ends = [shared(keras.layers.Dense(8, name=name)(one)) for name, one in (("a", short), ("b", long))]
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Concatenate(axis=1)(ends))
    plan, smaller = agree(keras.Model([short, long], keras.layers.Dense(2)(x)))
    assert {tuple(sorted(one.group.members)) for one in plan.groups} == {("a", "b"), ("shared",)}
    assert smaller.get_layer("shared").get_config()["output_shape"] == [None, 3]


def test_a_model_inside_is_shrunk_from_its_inputs_to_its_outputs() -> None:
    inputs = keras.Input((4, 4, 2))
    x = encoder()(keras.layers.Conv2D(6, 1, name="before")(inputs))
    plan, smaller = agree(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x))))
    assert len(plan.groups) == 3
    inner = smaller.get_layer("encoder")
    assert inner.input_shape == (None, 4, 4, 3)
    assert inner.output_shape == (None, 1, 1, 3)


def test_a_model_called_twice_stays_one() -> None:
    left, right = keras.Input((4, 4, 2)), keras.Input((4, 4, 2))
    inner, before = encoder(), keras.layers.Conv2D(6, 1, name="before")
    ends = [inner(before(left)), inner(keras.layers.Conv2D(6, 1, name="other")(right))]
    distance = tf.abs(ends[0] - ends[1])
    model = keras.Model([left, right], keras.layers.Dense(3)(keras.layers.Flatten()(distance)))
    plan, smaller = agree(model)
    assert ("before", "other") in {tuple(sorted(one.group.members)) for one in plan.groups}
    assert sum(layer.name == "encoder" for layer in smaller.layers) == 1


def test_several_outputs_and_one_in_the_middle() -> None:
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(12, activation="relu", name="trunk")(inputs)
    middle = keras.layers.Dense(6, name="middle")(shared)
    model = keras.Model(inputs, {"last": keras.layers.Dense(2, name="end")(middle), "between": middle})
    plan, smaller = agree(model)
    assert [one.group.name for one in plan.groups] == ["trunk"]
    assert {one.layer: one.reason for one in plan.skipped}["middle"] == "the model's output"
    assert set(smaller(np.zeros((1, 8), "float32"))) == {"last", "between"}


def test_open_sizes_stay_open() -> None:
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.MaxPooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    plan, smaller = agree(model)
    assert smaller.input_shape == (None, None, None, 2)
    assert plan.macs is None


@pytest.mark.parametrize(("channels", "followed"), [(6, True), (3, False)])
def test_channels_are_followed_beside_open_sizes_as_long_as_they_stay(channels: int, followed: bool) -> None:
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Reshape((-1, channels))(keras.layers.Conv2D(6, 3, padding="same", name="first")(inputs))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(4, 1, name="second")(x))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(3)(x)))
    assert [one.group.name for one in plan.groups] == ["first"] * followed + ["second"]
    reasons = {one.layer: one.reason for one in plan.skipped}
    assert followed or "reshaped together with open sizes by" in reasons["first"]


def test_channels_beside_an_open_number_of_them_stay() -> None:
    inputs, open_sized = keras.Input((5,)), keras.Input((None,))
    x = keras.layers.Concatenate()([keras.layers.Dense(8, name="first")(inputs), open_sized])
    x = keras.layers.Dense(6, name="free")(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True))
    plan, _ = agree(keras.Model([inputs, open_sized], keras.layers.Dense(2)(x)))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert "beside a part of open size in" in next(one.reason for one in plan.skipped if one.layer == "first")


def test_channels_that_fill_two_axes_and_repeat_along_a_third_go_by_rows() -> None:
    """Six of them, four times each, as (3, 2, 4): neither axis has a channel of its own at each place."""
    inputs = keras.Input((5,))
    x = keras.layers.Reshape((6, 1))(keras.layers.Dense(6, name="first")(inputs))
    x = keras.layers.Flatten()(keras.layers.Concatenate()([x] * 4))
    x = keras.layers.Flatten()(tf.square(keras.layers.Reshape((3, 2, 4))(x)))
    plan, smaller = agree(keras.Model(inputs, keras.layers.Dense(2)(x)))
    first = next(one for one in plan.groups if one.group.name == "first")
    assert (first.group.kind, first.before, first.after) == ("heads", 3, 2)
    assert smaller.get_layer("first").units == 4


def test_channels_that_repeat_along_another_axis_go_one_by_one() -> None:
    """Six of them, four times behind each other: as (4, 6) each place of the last axis is one channel."""
    inputs = keras.Input((5,))
    x = keras.layers.RepeatVector(4)(keras.layers.Dense(6, name="first")(inputs))
    x = keras.layers.Reshape((4, 6))(keras.layers.Flatten()(x))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))))
    assert [(one.group.name, one.before, one.after) for one in plan.groups] == [("first", 6, 3)]


def test_a_shared_reshape_has_an_open_size_in_each_place() -> None:
    """As in the heads of a detector: boxes of four numbers, from maps of 4 x 4 and of 2 x 2."""
    inputs = keras.Input((8, 8, 2))
    large = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="large")(inputs)
    small = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="small")(large)
    head, boxes = keras.layers.Conv2D(8, 3, padding="same", name="head"), keras.layers.Reshape((-1, 4), name="boxes")
    model = keras.Model(inputs, keras.layers.Concatenate(axis=1)([boxes(head(large)), boxes(head(small))]))
    plan, smaller = agree(model)
    assert [(one.group.members, one.after) for one in plan.groups] == [(("large", "small"), 3)]
    assert smaller.get_layer("boxes").target_shape == (-1, 4)
    assert smaller.output_shape == model.output_shape == (None, 2 * 16 + 2 * 4, 4)


def test_a_shared_reshape_with_a_size_that_is_given_keeps_as_many_in_each_place() -> None:
    inputs = keras.Input((5,))
    pair = [keras.layers.Dense(12, name="a")(inputs), keras.layers.Dense(24, name="b")(inputs)]
    rows = keras.layers.Reshape((3, -1), name="rows")
    x = keras.layers.Flatten()(keras.layers.Concatenate()([rows(one) for one in pair]))
    plan, smaller = agree(keras.Model(inputs, keras.layers.Dense(2)(x)))
    assert [(set(one.group.members), one.before, one.after) for one in plan.groups] == [({"a", "b"}, 3, 2)]
    assert smaller.get_layer("rows").target_shape == (2, -1)


@pytest.mark.parametrize("first", ["input", "dense"])
def test_a_shared_reshape_of_what_stays_keeps_all(first: str) -> None:
    inputs = keras.Input((6, 12))
    given = {"input": inputs, "dense": keras.layers.Dense(12, name="whole")(inputs)}
    shared = keras.layers.Reshape((3, 24), name="shared")
    ends = [shared(given[key]) for key in sorted(given, key=lambda key: key != first)]
    x = keras.layers.Dense(6, name="free")(keras.layers.Concatenate()(ends))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(2)(x)))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert "elsewhere by the shared Reshape 'shared'" in next(o.reason for o in plan.skipped if o.layer == "whole")


def test_products_along_the_last_axis_of_vectors() -> None:
    inputs = keras.Input((5,))
    pair = [keras.layers.Dense(6, name=name)(inputs) for name in ("left", "right")]
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dot(axes=-1)(pair))))
    assert [tuple(sorted(one.group.members)) for one in plan.groups] == [("left", "right")]


def test_a_frozen_model_inside_stays_frozen() -> None:
    inputs = keras.Input((4, 4, 2))
    inner = encoder()
    x = inner(keras.layers.Conv2D(6, 1, name="before")(inputs))
    inner.trainable = False
    smaller = agree(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x))))[1]
    assert not smaller.get_layer("encoder").trainable
    assert smaller.get_layer("before").trainable


def test_axes_of_another_size_are_not_one() -> None:
    """As a rule of somebody's own may ask for: both stay."""
    atoms = Atoms()
    visit = SimpleNamespace(graph=SimpleNamespace(atoms=atoms), name="Mine 'mine'")
    visit.fix_all = lambda labels, why: [Visit.fix(visit, each, why) for each in labels]
    first, second, third = atoms.new(4, "a", "units"), atoms.new(6, "b", "units"), atoms.new(4, "c", "units")
    Visit.join(visit, first, third)
    assert atoms.roots(first).tolist() == atoms.roots(third).tolist()
    assert not atoms.reason(int(first[0]))
    Visit.join(visit, first, second)
    for atom in (*first, *second):
        assert atoms.reason(atoms.find(int(atom))) == "joined to an axis of another size in Mine 'mine'"
    assert not set(atoms.roots(first)) & set(atoms.roots(second))


def projected(x: Any, units: int, **settings: Any) -> Any:
    return keras.layers.Dense(units, **settings)(x)


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: tf.nn.relu6(x + 3.0) * x / 6.0 - 0.5,
    "reversed arithmetic": lambda x: 1.0 - (2.0 * x),
    "numbers of each channel": lambda x: x * np.arange(1.0, 9.0, dtype=np.float32) + tf.constant([0.5] * 8),
    "sum with another": lambda x: tf.maximum(x, projected(x, 8)) + projected(x, 8),
    "concat": lambda x: tf.concat([x, projected(x, 4)], axis=-1),
    "stack": lambda x: tf.reduce_mean(tf.stack([x, projected(x, 8)], axis=1), axis=1),
    "split and gate": lambda x: (lambda a, b: a * tf.sigmoid(b))(*tf.split(x, 2, axis=-1)),
    "split by sizes": lambda x: tf.split(x, [3, 5], axis=-1)[1],
    "split of steps": lambda x: tf.split(x, 2, axis=1)[1],
    "slices": lambda x: x[..., 2:7],
    "one step": lambda x: x[:, 0],
    "new axis": lambda x: tf.squeeze(x[:, tf.newaxis], axis=1),
    "expand": lambda x: tf.squeeze(tf.expand_dims(x, 2), [2]),
    "transpose": lambda x: tf.transpose(tf.transpose(x, [0, 2, 1]), [0, 2, 1]),
    "reshape with an open batch": lambda x: tf.reshape(x, [-1, 6 * 8]),
    "reshape to heads": lambda x: tf.reshape(tf.reshape(x, [-1, 6, 4, 2]), (-1, 6, 8)),
    "reshape by shape": lambda x: tf.reshape(x, [tf.shape(x)[0], 48]),
    "mean of steps": lambda x: tf.reduce_mean(x, axis=1, keepdims=True),
    "sum of channels": lambda x: tf.reduce_sum(x, axis=-1, keepdims=True),
    "tile": lambda x: tf.tile(x, [1, 2, 1]),
    "padding": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]]),
    "where": lambda x: tf.where(x > 0.0, x, 0.1 * x),
    "clip": lambda x: tf.clip_by_value(x, -1.0, 1.0),
    "cast and square": lambda x: tf.square(tf.cast(x, tf.float32)),
    "products of channels": lambda x: tf.matmul(x, projected(x, 8), transpose_b=True),
    "products of channels, first turned": lambda x: tf.matmul(x, tf.nn.softmax(projected(x, 4)), transpose_a=True),
    "products of channels, turned by place": lambda x: tf.matmul(x, tf.nn.softmax(projected(x, 4)), True),
    "compared by sums": lambda x: keras.layers.AdditiveAttention(use_scale=False)(
        [projected(x, 12), x, projected(x, 12)]
    ),
    "mixing steps": lambda x: tf.matmul(tf.nn.softmax(projected(x, 6)), x),
    "einsum": lambda x: tf.einsum("btc,bsc->bts", x, projected(x, 8)),
    "einsum position by position": lambda x: tf.einsum("btc,btc->btc", x, projected(x, 8)),
    "gather of steps": lambda x: tf.gather(x, [0, 2], axis=1),
    "a cut of which all might go": lambda x: tf.concat([x[..., :1] * 1e-3, x[..., 1:]], axis=-1),
    "sum of many": lambda x: tf.add_n([x, projected(x, 8), x]),
    "one number spread by a constant": lambda x: projected(x, 1) * np.arange(1.0, 9.0, dtype=np.float32),
    "turned, times a constant": lambda x: tf.matmul(
        tf.transpose(projected(x, 4), [0, 2, 1]), np.eye(4, 5, dtype=np.float32), transpose_a=True
    ),
    "steps times a constant": lambda x: tf.matmul(x, np.eye(6, 5, dtype=np.float32), transpose_a=True),
    "brought to length one along steps": lambda x: tf.math.l2_normalize(x, axis=1),
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_functions_of_tensorflow(operation: Callable[[Any], Any]) -> None:
    keras.backend.clear_session()
    inputs = keras.Input((6, 3))
    x = operation(keras.layers.Dense(8, activation="tanh", name="first")(inputs))
    plan, smaller = agree(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))))
    assert any("first" in one.group.members for one in plan.groups)
    assert plan.macs is not None
    assert describe.describe(smaller).macs == plan.macs[1] < plan.macs[0]


FIXED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mean of channels": (lambda x: tf.reduce_mean(x, axis=-1, keepdims=True), "reduced to one number"),
    "softmax": (tf.nn.softmax, "normalized together"),
    "argmax": (lambda x: tf.cast(tf.argmax(x, axis=-1), tf.float32), "counted along"),
    "every other": (lambda x: x[..., ::2], "picked by number"),
    "backwards": (lambda x: x[..., ::-1], "picked by number"),
    "number of channels": (lambda x: x / tf.cast(tf.shape(x)[2], tf.float32), "counted by"),
    "times a constant": (lambda x: tf.matmul(x, np.eye(8, 5, dtype=np.float32)), "multiplied by a constant in"),
    "compared by scaled sums": (
        lambda x: keras.layers.AdditiveAttention()([projected(x, 8), x, projected(x, 8)]),
        "compared as a whole by",
    ),
    "brought to length one as a whole": (tf.math.l2_normalize, "normalized together"),
    "brought to length one as a whole, turned": (
        lambda x: tf.math.l2_normalize(tf.transpose(x, [0, 2, 1])),
        "normalized together",
    ),
    "where something holds": (
        lambda x: tf.zeros_like(x) + tf.reduce_sum(tf.cast(tf.where(x > 0.0), tf.float32)),
        "read by the unknown layer",
    ),
    "split by a tensor of sizes": (lambda x: tf.split(x, tf.constant([3, 5]), axis=-1)[1], "read by the unknown layer"),
    "a variable of each channel": (lambda x: x * tf.Variable(tf.ones(8), trainable=False), "joined to a variable in"),
    "adjoint": (lambda x: tf.matmul(x, projected(x, 8), adjoint_b=True), "read by the unknown layer"),
    "a constant times": (lambda x: tf.matmul(np.ones((1, 5, 6), np.float32), x), "read by the unknown layer"),
    "einsum of one": (lambda x: tf.einsum("btc->bct", x), "read by the unknown layer"),
    "einsum without an arrow": (lambda x: tf.einsum("btc,bsc", x, projected(x, 8)), "read by the unknown layer"),
    "looked up for each example": (
        lambda x: tf.gather(x, tf.argmax(x, axis=1)[:, :2], axis=1, batch_dims=1),
        "read by the unknown layer",
    ),
    "unknown function": (lambda x: tf.reverse(x, [-1]), "unknown layer TFOpLambda"),
}


@pytest.mark.parametrize(("operation", "reason"), FIXED.values(), ids=FIXED)
def test_functions_that_need_every_channel(operation: Callable[[Any], Any], reason: str) -> None:
    keras.backend.clear_session()
    inputs = keras.Input((6, 3))
    x = operation(keras.layers.Dense(8, activation="tanh", name="first")(inputs))
    x = keras.layers.Dense(6, name="free")(keras.layers.Flatten()(x))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(2, name="out")(x)))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert reason in next(one.reason for one in plan.skipped if one.layer == "first")


def test_heads_of_an_attention_that_is_written_out() -> None:
    layers = keras.layers
    inputs = keras.Input((6, 5))

    def heads(name: str) -> Any:
        return layers.Permute((2, 1, 3))(layers.Reshape((6, 4, 3))(layers.Dense(12, name=name)(inputs)))

    shares = layers.Softmax()(tf.matmul(heads("query"), heads("key"), transpose_b=True))
    joined = layers.Reshape((6, 12))(layers.Permute((2, 1, 3))(tf.matmul(shares, heads("value"))))
    plan, smaller = agree(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Dense(7)(joined)))))
    kinds = {tuple(sorted(one.group.members)): (one.group.kind, one.before, one.after) for one in plan.groups}
    assert kinds[("key", "query", "value")] == ("heads", 4, 2)
    assert smaller.get_layer("query").kernel.shape == (5, 6)


def test_an_attention_that_returns_several_axes_is_left_whole() -> None:
    inputs = keras.Input((6, 5))
    x = keras.layers.Dense(8, name="first")(inputs)
    x = keras.layers.MultiHeadAttention(4, 3, output_shape=(2, 4), name="attention")(x, x)
    x = keras.layers.Dense(6, name="free")(keras.layers.Flatten()(x))
    plan, _ = agree(keras.Model(inputs, keras.layers.Dense(2)(x)))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert "unknown layer MultiHeadAttention" in next(one.reason for one in plan.skipped if one.layer == "first")


def test_a_model_of_keras_3_comes_through_the_door() -> None:
    layers, ops = keras3.layers, keras3.ops
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="silu")(inputs)
    y = layers.Conv2D(8, 3, padding="same", activation="hard_silu")(x)
    x = ops.abs(layers.BatchNormalization()(x + y))
    model = keras3.Model(inputs, layers.Dense(3)(ops.mean(x, axis=(1, 2))))
    plan, _ = agree(models.load(model))
    assert [(one.before, one.after) for one in plan.groups] == [(8, 4)]
    direct = shrink.plan(model, ratio=0.5, round_to=1)
    assert direct.parameters == plan.parameters
    data = inputs_for(direct.graph.model)
    assert gap(outputs(direct.apply(), data), outputs(direct.masked(), data)) <= 1e-5


def test_a_subclassed_model_is_traced() -> None:
    class Small(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = keras.layers.Dense(8), keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.second(tf.nn.relu(self.first(inputs)))

    model = Small()
    model(np.zeros((1, 4), "float32"))
    plan = shrink.plan(model, ratio=0.5)
    assert plan.parameters == (4 * 8 + 8 + 8 * 2 + 2, 4 * 4 + 4 + 4 * 2 + 2)


def test_a_weight_that_an_operation_reads_too_keeps_its_size_and_stays_tied() -> None:
    tokens, embedding = keras.Input((6,), dtype="int32"), keras.layers.Embedding(9, 8, name="embedding")
    x = keras.layers.Dense(16, "relu", name="wide")(embedding(tokens))
    x = keras.layers.Dense(8, name="narrow")(x)
    model = keras.Model(tokens, tf.matmul(x, embedding.embeddings, transpose_b=True))
    plan, smaller = agree(model)
    assert [(one.group.name, one.after) for one in plan.groups] == [("wide", 8)]
    (reason,) = [one.reason for one in plan.skipped if one.layer == "embedding"]
    assert "read too, beside its layer, by 'tf.linalg.matmul" in reason
    for new in (smaller, plan.masked()):
        new.get_layer("embedding").embeddings.assign(np.zeros((9, 8)))
        assert not np.any(outputs(new, inputs_for(model))[0])
