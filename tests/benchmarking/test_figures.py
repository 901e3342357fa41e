"""The arithmetic from times to figures."""

from __future__ import annotations

import statistics

import pytest

from tfday7.benchmarking import figures
from tfday7.benchmarking.figures import Round


def calm(*rounds: list[float]) -> list[Round]:
    """Returns rounds of which no run was interrupted."""
    return [Round(times, [False] * len(times)) for times in rounds]


def test_percentiles_are_those_of_all_runs_of_all_rounds() -> None:
    times = [float(i) for i in range(1, 202)]  # 1 ... 201, so that the q-th percentile is 1 + 2 q.
    assert figures.latencies(calm(times[:50], times[50:60], times[60:])) == {"p50": 101.0, "p90": 181.0, "p99": 199.0}
    assert figures.latencies([Round(times, [True] * 201)])["p90"] == 181.0


def test_a_99th_percentile_needs_a_hundred_runs() -> None:
    assert figures.latencies(calm([1.0] * 99))["p99"] is None
    assert figures.latencies(calm([1.0] * 100))["p99"] == 1.0


def test_the_ratio_is_taken_within_each_round() -> None:
    # The machine slows down steadily, up to 10-fold: times overlap, ratios do not.
    slow = [1.0 + 0.9 * r for r in range(11)]
    baseline = calm(*([2.0 * factor, 2.1 * factor, 1.9 * factor] for factor in slow))
    own = calm(*([3.0 * factor] for factor in slow))
    assert figures.ratio(own, baseline) == {
        "latency_ratio": 1.5, "latency_ratio_range": [1.5, 1.5], "ratio_rounds": 11,
    }  # fmt: skip


def test_the_range_of_ratios_is_from_the_10th_to_the_90th_percentile() -> None:
    own = calm(*([float(r)] for r in range(10, 21)))  # Ratios 1.0, 1.1 ... 2.0.
    found = figures.ratio(own, calm(*[[10.0]] * 11))
    assert (found["latency_ratio"], found["latency_ratio_range"]) == (1.5, [1.1, 1.9])


def test_interrupted_runs_decide_no_ratio() -> None:
    # Runs of 4 ms lose the processor for 4 ms more often than not, those of 1 ms rarely.
    long = [Round([8.0, 4.0, 8.0], [True, False, True])] * 5
    short = [Round([1.0, 1.0, 5.0], [False, False, True])] * 5
    found = figures.ratio(long, short)
    assert (found["latency_ratio"], found["ratio_rounds"]) == (4.0, 5)
    assert figures.spread(long) == 0.0
    assert figures.drift([*long, Round([8.0], [True])]) == 0.0
    assert figures.medians([*long[:2], Round([8.0], [True])]) == [8.0, 8.0, 8.0]  # Two rounds are too few.


def test_rounds_in_which_one_of_both_was_always_interrupted_are_left_out() -> None:
    own = [Round([9.0], [True]), *calm([3.0], [3.0], [3.0])]
    found = figures.ratio(own, calm(*[[1.0]] * 4))
    assert (found["latency_ratio"], found["ratio_rounds"]) == (3.0, 3)


def test_where_hardly_any_run_was_left_alone_all_of_them_decide_and_it_is_said() -> None:
    own = [Round([8.0], [True])] * 8 + calm([4.0], [4.0])
    found = figures.ratio(own, calm(*[[1.0]] * 10))
    assert (found["latency_ratio"], found["ratio_rounds"]) == (8.0, 0)


def test_a_cell_compared_with_itself_has_a_ratio_of_one() -> None:
    rounds = calm([3.0, 4.0], [5.0, 7.0])
    assert figures.ratio(rounds, rounds)["latency_ratio"] == 1.0


def test_the_spread_is_that_of_the_medians_of_rounds_and_not_of_single_runs() -> None:
    assert figures.spread(calm(*[[1.0, 10.0, 100.0]] * 5)) == 0.0
    wandering = calm(*([float(r)] for r in range(10, 21)))
    assert figures.spread(wandering) == pytest.approx((19 - 11) / statistics.median(range(10, 21)), abs=1e-4)


def test_the_drift_is_between_the_halves_of_the_measurement() -> None:
    assert figures.drift(calm([10.0], [12.0], [11.0], [12.0])) == pytest.approx(abs(11.5 - 11.0) / 11.5, abs=1e-4)
    assert figures.drift(calm(*[[10.0], [20.0]] * 10)) == 0.0
    assert figures.drift(calm([10.0])) is None


def test_the_share_of_interrupted_runs() -> None:
    assert figures.interrupted_share([Round([1.0] * 4, [True, False, False, False]), Round([1.0], [True])]) == 0.4


def test_a_run_below_the_clock_s_resolution_divides_nothing_by_zero() -> None:
    assert figures.ratio(calm([1.0]), calm([0.0]))["latency_ratio"] == 1e6
    assert figures.spread(calm([0.0], [0.0])) == 0.0
