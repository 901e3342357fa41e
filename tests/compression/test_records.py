"""The frontier and the choice, against what a person would say of a handful of candidates."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.compression.config import BudgetConfig
from tfday7.compression.limits import frontier_floor
from tfday7.compression.records import Candidate, from_json, with_frontier
from tfday7.core.errors import UserError


def candidate(name: str, value: float | None, gzip_bytes: int | None, ratio: float | None, **more: Any) -> Candidate:
    metric = {"name": "accuracy", "value": value}
    return Candidate(name, metric=metric, gzip_bytes=gzip_bytes, latency_ratio=ratio, **more)


BASELINE = candidate("float32", 0.91, 300, 1.0)
SMALL = candidate("small", 0.90, 20, 0.5)
FAST = candidate("fast", 0.90, 40, 0.3)
WORSE = candidate("worse", 0.89, 40, 0.5)
FAILED = candidate("failed", 0.99, 1, 0.1, failure="no file")


def test_what_another_beats_in_everything_is_not_on_the_frontier() -> None:
    marked = {one.name: one.pareto for one in with_frontier([BASELINE, SMALL, FAST, WORSE, FAILED])}
    assert marked == {"float32": True, "small": True, "fast": True, "worse": False, "failed": False}


def test_what_is_of_no_use_is_not_on_the_frontier_however_small() -> None:
    useless = candidate("useless", 0.3, 1, 0.01)
    assert with_frontier([BASELINE, SMALL, useless])[2].pareto
    assert not with_frontier([BASELINE, SMALL, useless], 0.81)[2].pareto
    floors = [frontier_floor(BASELINE, BudgetConfig(max_accuracy_drop=drop)) for drop in (0.01, 0.5)]
    assert floors == pytest.approx([0.81, 0.41])
    assert frontier_floor(candidate("unknown", None, 300, 1.0), BudgetConfig()) == float("-inf")


def test_equals_are_both_on_the_frontier() -> None:
    assert all(one.pareto for one in with_frontier([SMALL, candidate("twin", 0.90, 20, 0.5)]))


def test_what_was_not_timed_is_compared_by_what_is_known() -> None:
    untimed = candidate("untimed", 0.90, 30, None)
    assert [one.pareto for one in with_frontier([SMALL, untimed])] == [True, False]


def test_a_candidate_survives_its_record() -> None:
    assert from_json(SMALL.to_json(), "file") == SMALL
    with pytest.raises(UserError, match="file: list found; expected an object"):
        from_json([], "file")
