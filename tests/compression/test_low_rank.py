"""Splitting layers in two: exact at full rank, as far off as the values left out, and never in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.compression import low_rank
from tfday7.compression.low_rank import Plan, plan
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf

RANDOM = np.random.default_rng(5)


def pictures_net(**first: Any) -> keras.Model:
    """A 3x3 convolution, a 1x1 convolution with stride 2, and two Dense layers."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="window")(inputs)
    x = layers.Conv2D(10, 1, strides=2, activation="relu", name="point", **first)(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(16, "tanh", name="wide")(x)
    return keras.Model(inputs, layers.Dense(3, "softmax", name="last")(x), name="net")


def factors(model: keras.Model, *names: str) -> list[low_rank.Factors]:
    return [low_rank._decomposed(name, model.get_layer(name)) for name in names]


def test_at_full_rank_the_new_model_equals_the_old_one() -> None:
    model = pictures_net()
    model.get_layer("wide").bias.assign(RANDOM.normal(size=16))
    found = factors(model, "window", "point", "wide", "last")
    split = Plan(model, tuple((each, len(each.values)) for each in found)).apply()
    x = RANDOM.normal(size=(5, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(split(x), model(x), atol=1e-5)
    assert [layer.name for layer in split.layers if layer.weights] == [
        name + suffix for name in ("window", "point", "wide", "last") for suffix in ("", "_low_rank")
    ]


def test_the_product_is_as_far_from_the_kernel_as_the_singular_values_that_were_left_out() -> None:
    model = pictures_net()
    (each,) = factors(model, "wide")
    split = Plan(model, ((each, 4),)).apply()
    kernel = model.get_layer("wide").get_weights()[0]
    product = split.get_layer("wide").get_weights()[0] @ split.get_layer("wide_low_rank").get_weights()[0]
    assert np.linalg.matrix_rank(product, tol=1e-4) == 4
    left_out = np.linalg.svd(kernel, compute_uv=False)[4:]
    assert np.linalg.norm(kernel - product) == pytest.approx(np.sqrt(np.sum(left_out**2)), rel=1e-4)
    assert each.error_at(4) == pytest.approx(np.sqrt(np.sum(left_out**2)), rel=1e-4)


def low_rank_net() -> keras.Model:
    """A Dense layer, 40 x 30, whose singular values are 3, 2 and 1."""
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(30, name="dense")])
    left, right = (np.linalg.qr(RANDOM.normal(size=(size, 3)))[0] for size in (40, 30))
    model.set_weights([(left * [3, 2, 1] @ right.T).astype(np.float32), np.ones(30, np.float32)])
    return model


@pytest.mark.parametrize(("energy", "rank"), [(9 / 14, 1), (0.65, 2), (13 / 14 - 1e-6, 2), (0.95, 3), (0.9999, 3)])
def test_the_rank_is_the_smallest_that_keeps_the_energy(energy: float, rank: int) -> None:
    ((each, found),) = plan(low_rank_net(), energy=energy - 1e-6).ranks  # The squares are 9, 4 and 1.
    assert found == rank
    assert each.parameters_at(rank) == rank * (40 + 30)


@pytest.mark.parametrize(("ratio", "rank"), [(1 - 70 / 1200, 1), (1 - 140 / 1200, 2), (1 - 139 / 1200, 1), (0.8, 3)])
def test_a_budget_is_met_with_the_largest_rank_that_does(ratio: float, rank: int) -> None:
    ((_, found),) = plan(low_rank_net(), ratio=ratio - 1e-9).ranks
    assert found == rank


def test_a_budget_goes_to_the_layers_that_need_it() -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(30, name="flat"), keras.layers.Dense(30, name="steep")]
    model = keras.Sequential([keras.Input((30,)), *layers])
    steep = np.outer(RANDOM.normal(size=30), RANDOM.normal(size=30)).astype(np.float32)
    model.get_layer("steep").kernel.assign(steep)
    ranks = {each.layer.name: rank for each, rank in plan(model, ratio=0.5, min_parameters=1).ranks}
    assert ranks == {"flat": (900 - 60) // 60, "steep": 1}


def test_what_would_not_get_smaller_or_is_no_plain_layer_is_left_alone_with_a_reason() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 12))
    x = keras.layers.LSTM(12, name="lstm")(inputs)
    x = keras.layers.Dense(12, name="random")(x)
    x = keras.layers.Dense(12, name="kept")(x)
    outputs = keras.layers.Dense(12, name="bound", kernel_constraint="non_neg")(x)
    reasons: dict[str, str] = {}
    chosen = plan(
        keras.Model(inputs, outputs), energy=0.999, min_parameters=100, keep=["kept"], skip=reasons.__setitem__
    )
    assert chosen.ranks == ()
    assert list(reasons) == ["lstm", "kept", "bound", "random"]
    assert reasons["lstm"] == "LSTM is no plain Dense or convolution"
    assert reasons["kept"] == "kept, as asked for"
    assert "constraint" in reasons["bound"]
    assert "would not save parameters" in reasons["random"]


def test_convolutions_with_a_window_are_split_only_when_asked_for() -> None:
    model, reasons = pictures_net(), dict[str, str]()
    few = {"energy": 0.5, "min_parameters": 60}
    names = [each.layer.name for each, _ in plan(model, skip=reasons.__setitem__, **few).ranks]
    assert names == ["point", "wide"]
    assert "window" in reasons["window"]
    assert [each.layer.name for each, _ in plan(model, wide=True, **few).ranks] == ["window", "point", "wide"]


def test_a_shared_layer_in_a_shared_model_stays_shared_and_is_split_once() -> None:
    keras.utils.set_random_seed(3)
    dense = keras.layers.Dense(20, "relu", name="dense")
    inside = keras.Input((20,))
    inner = keras.Model(inside, dense(dense(inside)), name="inner")
    inputs = keras.Input((20,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(inner(inner(inputs))), name="outer")
    chosen = plan(model, energy=0.7, min_parameters=200)
    split = chosen.apply()
    ((each, rank),) = chosen.ranks
    assert split.count_params() == rank * 40 + 20 + (20 * 2 + 2)
    first, second = each.kernels(rank)
    dense.kernel.assign(first @ second)  # The old model, with the product in the kernel's place.
    x = RANDOM.normal(size=(4, 20)).astype(np.float32)
    np.testing.assert_allclose(split(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [keras.layers.Conv1D, keras.layers.Conv3D])
def test_strides_dilation_and_padding_stay_with_the_window(layer: Any) -> None:
    keras.utils.set_random_seed(3)
    dimensions = 1 if layer is keras.layers.Conv1D else 3
    settings = {"padding": "causal", "dilation_rate": 2} if dimensions == 1 else {"strides": 2}
    inputs = keras.Input((6,) * dimensions + (2,))
    model = keras.Model(inputs, layer(5, 3, name="conv", activation="relu", **settings)(inputs))
    (each,) = factors(model, "conv")
    split = Plan(model, ((each, len(each.values)),)).apply()
    x = RANDOM.normal(size=(2, *(6,) * dimensions, 2)).astype(np.float32)
    np.testing.assert_allclose(split(x), model(x), atol=1e-5)


def test_a_model_is_split_again_under_new_names() -> None:
    model = pictures_net()
    once = Plan(model, ((factors(model, "wide")[0], 16),)).apply()
    twice = Plan(once, tuple((each, len(each.values)) for each in factors(once, "wide", "wide_low_rank"))).apply()
    x = RANDOM.normal(size=(2, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(twice(x), model(x), atol=1e-5)


def test_the_given_model_stays_as_it_is() -> None:
    model = pictures_net()
    before = model.get_weights()
    plan(model, energy=0.5, min_parameters=60).apply()
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected one of them"),
        ({"energy": 0.5, "ratio": 0.5}, "expected one of them"),
        ({"energy": 0.5, "min_parameters": 10**6}, "no layer of 'net' can be split"),
        ({"energy": 0.5, "keep": ["nothing"]}, "keep names 'nothing'"),
        ({"ratio": 0.99, "min_parameters": 60}, "ratio=0.99 of .* cannot go: rank 1 everywhere leaves"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(pictures_net(), **settings)


def test_a_layer_whose_kernel_an_operation_reads_too_is_left_alone() -> None:
    inputs, code = keras.Input((40,)), keras.layers.Dense(30, name="code")
    x = keras.layers.Dense(30, name="free")(code(inputs))
    model = keras.Model(inputs, tf.matmul(x, code.kernel, transpose_b=True))
    skipped: list[tuple[str, str]] = []
    found = plan(model, ratio=0.5, min_parameters=100, skip=lambda *said: skipped.append(said))
    assert [each.layer.name for each, _ in found.ranks] == ["free"]
    assert [(name, "reads its weights too" in reason) for name, reason in skipped] == [("code", True)]
    split = found.apply()
    split.get_layer("code").kernel.assign(np.zeros((40, 30)))
    assert not np.any(split(np.ones((2, 40), np.float32)))


def test_layers_of_one_name_in_two_models_inside_are_each_split_and_named() -> None:
    def inner(name: str) -> keras.Model:
        inputs = keras.Input((20,))
        return keras.Model(inputs, keras.layers.Dense(20, name="d")(inputs), name=name)

    inputs = keras.Input((20,))
    model = keras.Model(inputs, inner("b")(inner("a")(inputs)))
    found = plan(model, energy=0.5, min_parameters=1)
    assert [each["layer"] for each in found.records()] == ["a/d", "b/d"]
    split = found.apply()
    assert split.count_params() == sum(each["parameters"][1] for each in found.records()) + 2 * 20
    skipped: list[tuple[str, str]] = []
    kept = plan(model, energy=0.5, min_parameters=1, keep=["b/d"], skip=lambda *said: skipped.append(said))
    assert [each["layer"] for each in kept.records()] == ["a/d"]
    assert skipped == [("b/d", "kept, as asked for")]
    with pytest.raises(UserError, match="can be split in two"):
        plan(model, energy=0.5, min_parameters=1, keep=["d"])


def test_a_layer_whose_first_weights_were_given_as_arrays_is_split() -> None:
    value, bias = RANDOM.normal(size=(20, 20)), RANDOM.normal(size=20)
    constant = keras.initializers.Constant
    layer = keras.layers.Dense(20, kernel_initializer=constant(value), bias_initializer=constant(bias), name="d")
    model = keras.Sequential([keras.Input((20,)), layer])
    ((each, _),) = plan(model, energy=0.5, min_parameters=1).ranks
    x = RANDOM.normal(size=(4, 20)).astype(np.float32)
    np.testing.assert_allclose(Plan(model, ((each, 20),)).apply()(x), model(x), atol=1e-4)
    assert Plan(model, ((each, 3),)).apply().count_params() == 3 * 40 + 20
