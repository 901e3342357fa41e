"""How much goes: ratios, budgets and rounding by arithmetic; what is kept; and mistakes that are told."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compression.shrink.agreement import agree, randomize

from tfday7 import models
from tfday7.compression import shrink
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.models import describe


def mlp(*units: int) -> Any:
    """Returns a model of 4 inputs, hidden layers a, b, ... and 2 outputs."""
    inputs = x = keras.Input((4,))
    for name, count in zip("abcdef", units, strict=False):
        x = keras.layers.Dense(count, activation="relu", name=name)(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(x))
    randomize(model)
    return model


def after(plan: Any) -> dict[str, int]:
    return {one.group.name: one.after for one in plan.groups}


def parameters(*sizes: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


def test_counts_are_multiples_of_eight_in_groups_of_sixteen_or_more() -> None:
    plan = shrink.plan(mlp(40, 24, 16, 15, 3, 1), ratio=0.5)
    # 20 -> 24 (up, as halves go), 12 -> 16, 8, 7.5 -> 8 and 1.5 -> 2 one by one; one unit is no group.
    assert after(plan) == {"a": 24, "b": 16, "c": 8, "d": 8, "e": 2}
    assert plan.parameters == (parameters(4, 40, 24, 16, 15, 3, 1, 2), parameters(4, 24, 16, 8, 8, 2, 1, 2))
    assert "the only one" in next(one.reason for one in plan.skipped if one.layer == "f")


def test_other_multiples() -> None:
    assert after(shrink.plan(mlp(40, 24), ratio=0.5, round_to=1)) == {"a": 20, "b": 12}
    assert after(shrink.plan(mlp(40, 24), ratio=0.9, round_to=16)) == {"a": 16, "b": 16}


def test_what_goes_has_the_smallest_norm() -> None:
    model = mlp(6)
    kernel = np.ones((4, 6), np.float32) * [3, 1, 5, 2, 6, 4]
    model.get_layer("a").set_weights([kernel, np.zeros(6)])
    plan, smaller = agree(model, random_weights=False, ratio=0.5)
    assert plan.groups[0].kept.tolist() == [2, 4, 5]
    np.testing.assert_array_equal(np.asarray(smaller.get_layer("a").kernel)[0], [5, 6, 4])


def test_globally_the_least_important_go_wherever_they_are() -> None:
    model = mlp(8, 8)
    even, steep = np.ones((4, 8), np.float32), np.ones((8, 8), np.float32) * [1, 1, 1, 1, 1, 1, 20, 20]
    model.get_layer("a").set_weights([even, np.zeros(8)])
    model.get_layer("b").set_weights([steep, np.zeros(8)])
    # The norms over the group's mean: all 1 in a; 0.17 and 3.48 in b.
    plan = shrink.plan(model, ratio=6 / 16, scope="global", round_to=1)
    assert after(plan) == {"a": 8, "b": 2}
    assert after(shrink.plan(model, ratio=6 / 16, round_to=1)) == {"a": 5, "b": 5}


def test_globally_a_tenth_of_each_group_stays() -> None:
    model = mlp(40, 40)
    steep = np.ones((40, 40), np.float32) * [*[1] * 39, 400]
    model.get_layer("a").set_weights([np.ones((4, 40), np.float32), np.zeros(40)])
    model.get_layer("b").set_weights([steep, np.zeros(40)])
    assert after(shrink.plan(model, ratio=39 / 80, scope="global", round_to=1)) == {"a": 40, "b": 4}


def test_a_budget_of_multiplications_is_used_up() -> None:
    model = mlp(40, 40)
    plan = shrink.plan(model, macs_ratio=0.25, round_to=1)
    full = 4 * 40 + 40 * 40 + 40 * 2
    assert plan.macs is not None
    assert plan.macs[0] == full
    assert plan.macs[1] <= 0.25 * full
    one_more = 4 * (after(plan)["a"] + 1) + (after(plan)["a"] + 1) * (after(plan)["b"] + 1) + (after(plan)["b"] + 1) * 2
    assert one_more > 0.25 * full
    assert describe.describe(plan.apply()).macs == plan.macs[1]


def test_a_budget_of_bytes_is_used_up() -> None:
    plan = shrink.plan(mlp(40, 40), size_bytes=2000, round_to=1)
    a, b = after(plan).values()
    assert 4 * plan.parameters[1] == 4 * parameters(4, a, b, 2) <= 2000 < 4 * parameters(4, a + 1, b + 1, 2)


def test_counts_of_single_groups() -> None:
    plan = shrink.plan(mlp(8, 6), counts={"b": 1})
    assert after(plan) == {"a": 8, "b": 1}
    with pytest.raises(UserError, match="no group 'z'"):
        shrink.plan(mlp(8), counts={"z": 1})
    with pytest.raises(UserError, match="'a' has 8 units; 9 cannot stay"):
        shrink.plan(mlp(8), counts={"a": 9})


def test_the_table_shows_before_and_after() -> None:
    plan = shrink.plan(mlp(40, 6), ratio=0.5)
    lines = str(plan).splitlines()
    assert lines[0].split() == ["a", "units", "40", "->", "24"]
    assert lines[1].split() == ["b", "units", "6", "->", "3"]
    assert lines[2].split() == ["parameters", "460", "->", f"{parameters(4, 24, 3, 2)}"]
    assert lines[3].split() == ["MACs", f"{4 * 40 + 240 + 12}", "->", f"{4 * 24 + 24 * 3 + 6}"]
    assert "out: the model's output" in lines[4]
    assert len({line.index("->") for line in lines[:4]}) == 1


def test_the_record_is_json() -> None:
    record = shrink.plan(mlp(6), ratio=0.5).to_json()
    group = record["groups"][0]
    assert (group["name"], group["kind"], group["before"], group["after"]) == ("a", "units", 6, 3)
    assert len(group["kept"]) == 3
    assert record["skipped"] == [{"technique": "shrink", "layer": "out", "reason": "the model's output"}]


def test_layers_are_kept_by_name_and_pattern() -> None:
    plan, _ = agree(mlp(8, 8, 8), keep=["b"])
    assert after(plan) == {"a": 4, "c": 4}
    assert {one.layer: one.reason for one in plan.skipped}["b"] == "kept, as asked"
    assert after(shrink.plan(mlp(8, 8, 8), ratio=0.5, keep=["[ab]"])) == {"c": 4}


def test_a_kept_activation_keeps_what_comes_in() -> None:
    inputs = keras.Input((4,))
    x = keras.layers.ReLU(name="middle")(keras.layers.Dense(8, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(8, name="second")(x)))
    assert after(shrink.plan(model, ratio=0.5, keep=["middle"])) == {"second": 4}


def test_a_smaller_model_shrinks_again_and_is_saved(tmp_path: Any) -> None:
    smaller = shrink.plan(mlp(16, 8), ratio=0.5).apply()
    plan, smallest = agree(smaller, ratio=0.5)
    assert plan.parameters[1] == parameters(4, 4, 2, 2)
    models.save(smallest, tmp_path / "small.keras")
    again = models.load(tmp_path / "small.keras")
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in smallest.weights]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing given; expected exactly one"),
        ({"ratio": 0.5, "macs_ratio": 0.5}, "ratio and macs_ratio given"),
        ({"ratio": 1.0}, "ratio is 1: it would empty every layer"),
        ({"ratio": 1.5}, "ratio is 1.5: it would empty every layer"),
        ({"ratio": 0.0}, "ratio is 0: nothing would go"),
        ({"ratio": 0.99}, "ratio 0.99 would empty 'a', which has 40 units"),
        ({"macs_ratio": 1.2}, "macs_ratio is 1.2"),
        ({"macs_ratio": 0.001}, "macs_ratio of at most 0.001 cannot be reached: the smallest is 0.061"),
        ({"size_bytes": 10}, "size_bytes of at most 10 bytes cannot be reached: the smallest is 520 bytes"),
        ({"size_bytes": 0}, "size_bytes is 0"),
        ({"size_bytes": 1}, "size_bytes of at most 1 bytes cannot be reached"),
        ({"ratio": 0.5, "round_to": 0}, "round_to is 0"),
        ({"ratio": 0.5, "scope": "all"}, "scope is 'all'; expected local or global"),
        ({"ratio": 0.5, "importance": "size"}, "importance is 'size'; expected one of magnitude"),
        ({"ratio": 0.5, "keep": ["z*"]}, r"keep: no layer is called 'z\*'"),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        shrink.plan(mlp(40, 40), **settings)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UserError) as error:
        shrink.plan(mlp(8), ratio=0.5, keep=["outt"])
    assert "did you mean out" in error.value.hint


def test_a_model_without_channels_that_can_go() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(UserError, match=r"no channels that can be removed \(only: the model's output\)"):
        shrink.plan(keras.Model(inputs, keras.layers.Dense(3, name="only")(inputs)), ratio=0.5)
    with pytest.raises(UserError, match="no channels that can be removed"):
        shrink.plan(keras.Model(inputs, keras.layers.ReLU()(inputs)), ratio=0.5)


def test_multiplications_that_are_counted_in_two_ways_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "describe", lambda model: SimpleNamespace(macs=10, not_counted={}))
    with pytest.raises(UserError, match="the model's multiplications are not known"):
        shrink.plan(mlp(20, 10, 3), macs_ratio=0.5)
    assert shrink.plan(mlp(20, 10, 3), ratio=0.5).macs is None


def test_multiplications_that_are_not_known() -> None:
    inputs = keras.Input((5, 4))
    x = tf.linalg.inv(tf.matmul(inputs, inputs, transpose_a=True), name="inverse")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(8)(x)))
    with pytest.raises(UserError, match=r"no rule for tf\.linalg\.inv"):
        shrink.plan(model, macs_ratio=0.5)
    assert "MACs" in str(shrink.plan(model, ratio=0.5))
