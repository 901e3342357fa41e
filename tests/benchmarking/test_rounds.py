"""Rounds on a clock that only the timed things move."""

from __future__ import annotations

import pytest

from tfday7.benchmarking import rounds


class FakeClock:
    """Counts nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter_ns(self) -> int:
        return self.now

    def perf_counter(self) -> float:
        return self.now / 1e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(rounds, "time", fake)
    return fake


def test_all_run_once_a_round_and_the_first_rounds_do_not_count(clock: FakeClock) -> None:
    order: list[str] = []

    def run(name: str, milliseconds: float) -> None:
        slow = 100 if len(order) < 2 * rounds.WARM_UP_ROUNDS else 1
        order.append(name)
        clock.now += int(milliseconds * slow * 1e6)

    found, count = rounds.medians([lambda: run("a", 0.5), lambda: run("b", 0.25)])
    assert order[:4] == ["a", "b", "a", "b"]
    assert found == [0.5, 0.25]
    assert count == rounds.MAX_ROUNDS
    assert len(order) == 2 * (rounds.WARM_UP_ROUNDS + rounds.MAX_ROUNDS)


def test_what_prepares_a_run_is_not_timed(clock: FakeClock) -> None:
    def move(milliseconds: float) -> None:
        clock.now += int(milliseconds * 1e6)

    found, _ = rounds.medians([lambda: move(1), lambda: move(2)], [lambda: move(50), lambda: move(70)])
    assert found == [1.0, 2.0]


def test_slow_things_get_fewer_rounds(clock: FakeClock) -> None:
    def second() -> None:
        clock.now += 10**9

    found, count = rounds.medians([second])
    assert found == [1000.0]
    assert rounds.MIN_ROUNDS <= count <= rounds.MIN_ROUNDS + 2
