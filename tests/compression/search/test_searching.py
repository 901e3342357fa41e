"""The log of a search: what is read again, what is not, and when a search ends; candidates are made up."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfday7.compression.config import BudgetConfig, SearchConfig
from tfday7.compression.records import Candidate
from tfday7.compression.search.estimates import Structure
from tfday7.compression.search.proposing import Proposer
from tfday7.compression.search.searching import LOG, Search
from tfday7.compression.search.space import Point
from tfday7.core.errors import UserError

BASELINE = Candidate("float32", metric={"name": "accuracy", "value": 0.9}, gzip_bytes=300_000, latency_ratio=1.0)


def search(folder: Path, budget: BudgetConfig | None = None, **config: Any) -> Search:
    job: Any = SimpleNamespace(folder=folder, key_of_model=lambda: {"weights": "a"}, say=lambda sentence: None)
    made = Search(job, budget or BudgetConfig(), SearchConfig(**{"max_candidates": 6, "search_epochs": 9, **config}))
    made.proposer = Proposer(BASELINE, made.budget, 9, lambda point: Structure((100_000, 50_000), (10, 5)))
    return made


def entry(point: Point, epochs: int, seconds: float = 1.0, path: Path | None = None) -> dict[str, Any]:
    candidate = Candidate(
        f"{point.name}_{epochs}", metric={"name": "accuracy", "value": 0.89}, size_bytes=60_000, gzip_bytes=50_000,
        latency_ratio=0.5, path=None if path is None else str(path),
    )  # fmt: skip
    decision = {"why": "start", "point": point.to_json(), "epochs": epochs, "expected": {}}
    return {"decision": decision, "candidate": candidate.to_json(), "seconds": {"making": seconds, "deciding": 0.1}}


LOGGED = [entry(Point(), 0), entry(Point(0.5), 1, 11.0), entry(Point(sparsity=0.7), 1, 9.0)]


def test_a_log_is_read_again_by_the_same_search_alone(tmp_path: Path) -> None:
    first = search(tmp_path)
    assert first._read_log() == []
    first._write_log(LOGGED)
    assert search(tmp_path)._read_log() == LOGGED
    assert search(tmp_path, search_minutes=5)._read_log() == LOGGED  # More time goes on.
    assert search(tmp_path, BudgetConfig(max_size_kb=40))._read_log() == []
    assert search(tmp_path, max_candidates=7)._read_log() == []


def test_a_log_ends_where_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "there.tflite").touch()
    log = [entry(Point(), 0, path=tmp_path / "there.tflite"), entry(Point(0.5), 1, path=tmp_path / "gone.tflite")]
    made = search(tmp_path)
    made._write_log(log)
    assert made._read_log() == log[:1]


@pytest.mark.parametrize("damage", [None, 3, [3], [{}], [{**LOGGED[0], "seconds": 3}], [{**LOGGED[0], "decision": {}}]])
def test_a_damaged_log_is_named(damage: Any, tmp_path: Path) -> None:
    made = search(tmp_path)
    (tmp_path / LOG).write_text(json.dumps({"key": made._key(), "log": damage}))
    with pytest.raises(UserError, match=r"search\.json: not the log of a search"):
        made._read_log()


def test_it_ends_with_its_candidates_and_finishes_what_is_best_before() -> None:
    made = search(Path())
    assert made._decide(LOGGED, float("inf")) is not None
    late = [*LOGGED, *(entry(Point(0.25 + at / 8), 1) for at in range(2))]
    decision = made._decide(late, float("inf"))
    assert decision is not None
    assert (decision.why, decision.epochs) == ("finish", 9)
    assert made._decide([*late, entry(Point(clusters=8), 1)], float("inf")) is None


def test_where_training_takes_little_of_the_time_a_candidate_gets_all_epochs_at_once() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    assert made._rungs(LOGGED[:1], 500.0) == [1, 3, 9]  # Nothing is known of epochs.
    assert made._rungs(LOGGED, 500.0) == [9]  # All epochs beside few say what one takes.
    # 6 s and 1 s an epoch: 15 s are more than half as much again as 7, and as 9.
    assert made._rungs([entry(Point(0.5), 1, 6.9), entry(Point(0.25), 9, 14.9)], 500.0) == [1, 3, 9]
    quick = [entry(Point(), 0, 1.0), entry(Point(0.5), 1, 12.5), entry(Point(0.25), 9, 16.5)]
    assert made._rungs(quick, 500.0) == [9]
    assert made._rungs(quick, float("inf")) == [1, 3, 9]  # The machine's speed decides nothing there.
    assert made._decide(quick, 500.0) is not None
    assert made.proposer.rungs == [9]


def test_what_does_not_fit_into_the_time_gets_fewer_epochs_or_is_left() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    # A candidate without training takes 1.1 s, an epoch of int8 10 s; 15 s are kept for the end.
    assert made._seconds(LOGGED, made.proposer.next(LOGGED and [])) == pytest.approx(1.1)  # type: ignore[arg-type]
    roomy = made._decide(LOGGED, 1.1 + 9 * 10.0 + 15.1)
    assert roomy is not None
    assert roomy.epochs == 9
    tight = made._decide(LOGGED, 1.1 + 3 * 10.0 + 15.1)
    assert tight is not None
    assert tight.epochs == 3
    assert made._decide(LOGGED, 20.0) is None
