"""Limits: what a person would say of a handful of candidates."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tfday7.compression import limits
from tfday7.compression.config import OBJECTIVES, BudgetConfig, SearchConfig
from tfday7.compression.records import Candidate
from tfday7.core.errors import UserError


def candidate(name: str, value: float | None, gzip_bytes: int | None, ratio: float | None, **more: Any) -> Candidate:
    metric = {"name": "accuracy", "value": value}
    return Candidate(name, metric=metric, gzip_bytes=gzip_bytes, latency_ratio=ratio, **more)


BASELINE = candidate("float32", 0.91, 300_000, 1.0, size_bytes=316_000, latency_ms=0.2, macs=1000)
SMALL = candidate("small", 0.90, 20_000, 0.5, size_bytes=30_000, latency_ms=0.1, macs=300)
FAST = candidate("fast", 0.90, 40_000, 0.3, size_bytes=50_000, latency_ms=0.06, macs=200)
GOOD = candidate("good", 0.905, 50_000, 0.6, size_bytes=60_000, latency_ms=0.12, macs=500)
FAILED = candidate("failed", 0.99, 1, 0.1, failure="no file")
ALL = [FAST, SMALL, GOOD, FAILED]


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, "small"),  # 20/300 * 0.5 = 0.033; fast: 40/300 * 0.3 = 0.04; good: 0.1.
        ({"max_accuracy_drop": 0.0}, None),
        ({"max_accuracy_drop": 0.5}, "small"),
        ({"max_latency_ratio": 0.4}, "fast"),
        ({"max_latency_ms": 0.07}, "fast"),
        ({"max_macs": 250}, "fast"),
        ({"max_size_kb": 29.9}, None),
        ({"max_size_kb": 30}, "small"),
        ({"max_gzip_kb": 20, "max_latency_ratio": 0.4}, None),
        ({"min_metric": 0.903}, "good"),
        ({"objective": "metric"}, "good"),
        ({"objective": "metric", "max_size_kb": 55, "max_latency_ratio": 0.4}, "fast"),
        ({"objective": "latency"}, "fast"),
        ({"objective": "macs"}, "fast"),
        ({"objective": "size"}, "small"),
        ({"max_memory_mb": 100}, None),  # Of none of them is it known.
    ],
)
def test_the_best_within_the_limits_is_chosen(given: dict[str, Any], chosen: str | None) -> None:
    assert limits.choose(ALL, BASELINE, BudgetConfig(**{"max_accuracy_drop": 0.01 + 1e-12, **given})) == chosen


def test_a_least_metric_stands_in_the_place_of_the_usual_drop() -> None:
    lossy = candidate("lossy", 0.86, 10_000, 0.3)
    assert limits.choose([lossy], BASELINE, BudgetConfig()) is None
    assert limits.choose([lossy], BASELINE, BudgetConfig(min_metric=0.85)) == "lossy"
    assert limits.choose([lossy], BASELINE, BudgetConfig(min_metric=0.87)) is None
    assert limits.choose([lossy], BASELINE, BudgetConfig(min_metric=0.85, max_accuracy_drop=0.01)) is None


def test_of_those_that_cost_the_same_the_better_one_is_chosen() -> None:
    twin = candidate("twin", 0.906, 20_100, 0.505)
    assert limits.choose([SMALL, twin], BASELINE, BudgetConfig()) == "twin"


def test_what_is_broken_says_by_how_much() -> None:
    budget = BudgetConfig(max_accuracy_drop=0.005, max_size_kb=20, max_memory_mb=1)
    found = {one.limit: one for one in limits.broken_limits(SMALL, BASELINE, budget)}
    assert found["max_size_kb"].value == 30
    assert found["max_size_kb"].share == pytest.approx(0.5)
    assert found["max_accuracy_drop"].allowed == pytest.approx(0.905)
    assert found["max_accuracy_drop"].share == pytest.approx(0.05)
    assert found["max_memory_mb"].share == math.inf
    assert found["max_memory_mb"].to_json()["share"] is None
    assert limits.excess(limits.broken_limits(BASELINE, BASELINE, BudgetConfig())) == 0


def test_the_nearest_come_first_and_failures_never() -> None:
    assert limits.nearest(ALL, BASELINE, BudgetConfig(max_size_kb=20)) == ["small", "fast", "good"]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_baseline_costs_one_whatever_the_objective(objective: str) -> None:
    whole = candidate("float32", 0.9, 300, 1.0, size_bytes=400, macs=10, peak_memory_bytes=7)
    expected = 0.0 if objective == "metric" else 1.0
    assert limits.cost(whole, whole, BudgetConfig(objective=objective)) == expected


def test_values_out_of_range_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match="max_size_kb"):
        BudgetConfig(max_size_kb=0)
    with pytest.raises(UserError, match="objective"):
        BudgetConfig(objective="beauty")
    assert SearchConfig().minutes == 20
    assert SearchConfig(max_candidates=5).minutes == math.inf
