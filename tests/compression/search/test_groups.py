"""What groups are worth, on a model whose every channel's use is known, and shares that follow from it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.compression.search import groups
from tfday7.compression.search.groups import GroupCost
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import pipeline
from tfday7.data.loading import prepare
from tfday7.data.source import Raw


def cost(name: str, channels: int, drop: float, saved: float) -> GroupCost:
    return GroupCost(name, "channels", channels, channels // 2, drop, 0.0, saved, saved)


@pytest.fixture(scope="module")
def model() -> Any:
    """Two layers in a row whose first computes with all of its 4 channels, and whose second with one of 8."""
    inputs = keras.Input((4,))
    first = keras.layers.Dense(4, name="used", activation="relu")
    second = keras.layers.Dense(8, name="idle", activation="relu")
    last = keras.layers.Dense(2, name="last")
    made = keras.Model(inputs, last(second(first(inputs))))
    first.set_weights([np.eye(4), np.zeros(4)])
    kernel = np.zeros((4, 8))
    kernel[:, 0] = [1, -1, 1, -1]
    second.set_weights([kernel, np.full(8, 1e-3)])
    out = np.zeros((8, 2))
    out[0] = [-1, 1]
    last.set_weights([out, np.array([0.3, 0.0])])
    return made


def test_the_group_that_does_nothing_costs_nothing(model: Any) -> None:
    x = np.random.default_rng(0).uniform(size=(400, 4)).astype(np.float32)
    y = (np.asarray(model.predict(x, verbose=0)).argmax(-1)).astype(int)
    assert 0.1 < y.mean() < 0.9
    found = {one.name: one for one in groups.measure(model, prepare(Raw(x, y), "made"))}
    assert set(found) == {"used", "idle"}
    assert found["idle"].metric_drop == 0
    assert found["idle"].outputs_moved < 1e-6
    assert found["used"].metric_drop > 0.1
    assert found["used"].outputs_moved > 0.1
    # MACs: 4*4 + 4*8 + 8*2 = 64. Half of "used": 4*2 + 2*8 + 16 = 40; half of "idle": 16 + 4*4 + 4*2 = 40.
    assert [found[name].macs_saved for name in ("used", "idle")] == pytest.approx([24 / 64, 24 / 64])
    # Parameters: 64 + 4 + 8 + 2 = 78. "used": 40 + 2 + 8 + 2 = 52; "idle": 40 + 4 + 4 + 2 = 50.
    assert found["used"].parameters_saved == pytest.approx(26 / 78)
    assert found["idle"].parameters_saved == pytest.approx(28 / 78)


def test_time_that_a_group_saves_counts_beside_macs_and_parameters(model: Any) -> None:
    class Timer:
        def __init__(self) -> None:
            self.channels: dict[str, list[int]] = {}

        def has_time(self) -> bool:
            return len(self.channels) < most

        def add(self, name: str, probe: Any) -> None:
            self.channels[name] = [layer.units for layer in probe.layers[1:]]

        def saved(self) -> dict[str, float]:
            return {"idle": 0.5}

    x = np.random.default_rng(0).uniform(size=(100, 4)).astype(np.float32)
    dataset, most = prepare(Raw(x, np.arange(100) % 2), "made"), 2
    timer = Timer()
    found = {one.name: one for one in groups.with_times(model, groups.measure(model, dataset), timer)}
    assert timer.channels == {"used": [2, 8, 2], "idle": [4, 4, 2]}
    assert (found["used"].latency_saved, found["idle"].latency_saved) == (None, 0.5)
    assert found["used"].gain == pytest.approx(2 * (24 / 64 + 26 / 78) / 2)
    assert found["idle"].gain == pytest.approx(2 * (24 / 64 + 28 / 78 + 0.5) / 3)
    assert dataclasses.replace(found["idle"], latency_saved=-0.2).gain == pytest.approx(2 * (24 / 64 + 28 / 78) / 3)


def test_where_time_is_short_those_that_save_the_most_are_timed(model: Any) -> None:
    class Timer:
        added: ClassVar[list[str]] = []

        def has_time(self) -> bool:
            return not self.added

        def add(self, name: str, probe: Any) -> None:
            self.added.append(name)

        def saved(self) -> dict[str, float]:
            return dict.fromkeys(self.added, 0.25)

    x = np.random.default_rng(0).uniform(size=(100, 4)).astype(np.float32)
    found = groups.with_times(model, groups.measure(model, prepare(Raw(x, np.arange(100) % 2), "made")), Timer())
    assert {one.name: one.latency_saved for one in found} == {"used": None, "idle": 0.25}  # 28 / 78 of the weights.


def test_where_time_is_short_fewer_examples_judge_and_what_is_not_reached_is_left_out(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, judged, said = [0.0], [], []
    predict = pipeline.predict

    def predicted(model: Any, examples: Any) -> np.ndarray:
        judged.append(len(examples))
        now[0] += len(examples) / 128
        return predict(model, examples)

    monkeypatch.setattr(pipeline, "predict", predicted)
    monkeypatch.setattr(groups.time, "monotonic", lambda: now[0])
    x = np.random.default_rng(0).uniform(size=(1000, 4)).astype(np.float32)
    dataset = prepare(Raw(x, np.arange(1000) % 2), "made")
    whole = len(dataset.validation)
    assert whole > 96
    assert len(groups.measure(model, dataset)) == 2
    assert judged == [whole, whole, whole]
    judged.clear()
    assert len(groups.measure(model, dataset, seconds=2.25, say=said.append)) == 2
    assert judged == [32, 32, 96, 96, 96]  # 0.75 s for the model and each of two groups.
    judged.clear()
    assert said == []
    assert [one.name for one in groups.measure(model, dataset, seconds=0.75, say=said.append)] == ["used"]
    assert judged == [32, 32, 32, 32]
    assert said == ["there is no time to judge more than 1 of 2 groups of channels"]


def test_groups_that_were_not_timed_are_compared_by_what_their_work_lets_expect() -> None:
    """Four groups alike: that the work of the first two takes no time counts for the others as well."""
    costs = [cost(name, 64, 0.1, 0.25) for name in "abcd"]
    half = [dataclasses.replace(one, latency_saved=0.0 if one.name in "ab" else None) for one in costs]
    assert set(groups.allocate(half, lambda counts: sum(counts.values()) <= 128).values()) == {32}
    # Where MACs say nothing, the time of some is no use.
    unknown = [dataclasses.replace(one, macs_saved=None) for one in half]
    assert set(groups.allocate(unknown, lambda counts: sum(counts.values()) <= 128).values()) == {32}


def test_the_cheaper_group_loses_more_and_no_more_goes_than_has_to() -> None:
    costs = [cost("dear", 64, 0.2, 0.25), cost("cheap", 64, 0.02, 0.25)]

    def allowed(counts: dict[str, int]) -> bool:
        return sum(counts.values()) <= 80

    counts = groups.allocate(costs, allowed)
    assert counts["cheap"] < counts["dear"]
    assert all(count % 8 == 0 for count in counts.values())
    assert 72 <= sum(counts.values()) <= 80


def test_with_equal_costs_every_group_loses_as_much() -> None:
    counts = groups.allocate([cost("a", 32, 0.1, 0.2), cost("b", 32, 0.1, 0.2)], lambda c: sum(c.values()) <= 32)
    assert counts == {"a": 16, "b": 16}


def test_what_cannot_be_spared_is_said() -> None:
    with pytest.raises(UserError, match="cannot spare"):
        groups.allocate([cost("a", 32, 0.1, 0.2)], lambda counts: counts["a"] <= 1)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(2, 64), st.floats(0, 0.5), st.floats(0.01, 0.5)), min_size=1, max_size=5),
    st.floats(0.3, 1.0),
)
def test_it_is_the_least_damage_among_all_shares_that_save_as_much(
    given: list[tuple[int, float, float]], keep: float
) -> None:
    """Beside random choices that save at least as much by the same measure, rounding left out."""
    costs = [cost(str(i), 1000 * channels, drop, saved) for i, (channels, drop, saved) in enumerate(given)]

    def saved(counts: dict[str, int]) -> float:
        return sum((1 - counts[one.name] / one.channels) * one.gain for one in costs)

    def damage(counts: dict[str, int]) -> float:
        return sum(one.damage * ((1 - counts[one.name] / one.channels) / groups.PROBED) ** 2 for one in costs)

    wanted = (1 - keep) * sum(one.gain for one in costs)
    ours = groups.allocate(costs, lambda counts: saved(counts) >= wanted, round_to=1)
    generator = np.random.default_rng(0)
    for _ in range(100):
        shares = generator.uniform(1 - groups.MOST, 1, len(costs))
        other = {one.name: max(1, int(one.channels * share)) for one, share in zip(costs, shares, strict=True)}
        if saved(other) >= saved(ours):
            assert damage(other) >= damage(ours) * 0.99 - 1e-6
