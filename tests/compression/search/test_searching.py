"""When a search ends, what it decides by the time that is left, and how processes share one; no model is made."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfday7.compression.config import BudgetConfig, SearchConfig
from tfday7.compression.records import Candidate
from tfday7.compression.search import groups, searching, space
from tfday7.compression.search.decisions import Trial
from tfday7.compression.search.estimates import Structure
from tfday7.compression.search.proposing import Proposer
from tfday7.compression.search.searching import Search
from tfday7.compression.search.space import Point
from tfday7.core.errors import UserError, WorkerLostError

BASELINE = Candidate("float32", metric={"name": "accuracy", "value": 0.9}, gzip_bytes=300_000, latency_ratio=1.0)


class Made(Search):
    """A search whose candidates take a tenth of a second, and nothing else."""

    def _carried_out(self, claim: Any, baseline: Candidate) -> dict[str, Any]:
        time.sleep(0.1)
        decision = claim.decision
        return {"number": claim.number, **entry(decision.point, decision.epochs), "by": os.getpid()}

    def _epoch_seconds(self) -> float:
        return 2.0

    def _measured_alone(self, baseline: Candidate) -> Candidate:
        return baseline

    def _planned(self, ratio: float, uneven: bool) -> tuple[Structure | None, dict[str, int] | None]:
        return Structure((100_000, 50_000), (10, 5)), None


def search(folder: Path, budget: BudgetConfig | None = None, **config: Any) -> Search:
    job: Any = SimpleNamespace(
        folder=folder, format="tflite", key_of_model=lambda: {"weights": "a"}, say=lambda sentence: None
    )
    made = Made(job, budget or BudgetConfig(), SearchConfig(**{"max_candidates": 6, "search_epochs": 9, **config}))
    made.proposer = Proposer(BASELINE, made.budget, 9, made.structure)
    return made


def entry(point: Point, epochs: int, seconds: float = 1.0, an_epoch: float | None = None) -> dict[str, Any]:
    told = {"epochs": epochs, "epoch_seconds": an_epoch}
    recipe = space.recipe(point, epochs).to_json()
    candidate = Candidate(
        f"{point.name}_{epochs}", recipe, metric={"name": "accuracy", "value": 0.89}, size_bytes=60_000,
        gzip_bytes=50_000, latency_ratio=0.5, steps=[{"technique": "shrink", "finetuning": [told]}] if epochs else [],
    )  # fmt: skip
    decision = {"why": "start", "point": point.to_json(), "epochs": epochs, "expected": {}}
    return {"decision": decision, "candidate": candidate.to_json(), "seconds": {"making": seconds, "deciding": 0.1}}


def test_what_groups_are_worth_is_measured_once_for_a_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(groups, "measure", lambda *arguments: asked.append(arguments) or [])
    for runtime, times in (("litert", 1), ("litert", 1), ("openvino", 2)):
        made = search(tmp_path)
        made.seconds = None
        made.job.runtime, made.job.model, made.job.dataset = runtime, None, None
        made.job.training = SimpleNamespace(seed=0)
        assert made._group_costs() == []
        assert len(asked) == times


def group_costs(folder: Path, minutes: float) -> list[groups.GroupCost]:
    made = search(folder, search_minutes=minutes)
    made.job.runtime, made.job.model, made.job.dataset = "litert", None, None
    made.job.training = SimpleNamespace(seed=0)
    return made._group_costs()


class FakeTimer:
    """Knows how much time it has."""

    def __init__(self, job: Any, seconds: float, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds


def test_what_a_short_search_could_not_time_a_longer_one_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def with_times(model: Any, costs: Any, timer: FakeTimer, seed: int) -> list[groups.GroupCost]:
        asked.append(timer.limit_seconds)
        timed = 1 if timer.limit_seconds < 60.0 else 2
        return [dataclasses.replace(one, latency_saved=0.1 if at < timed else None) for at, one in enumerate(costs)]

    costs = [groups.GroupCost(name, "channels", 8, 4, 0.1, 0.1, 0.2, 0.2) for name in ("a", "b")]
    monkeypatch.setattr(searching, "GroupTimer", FakeTimer)
    monkeypatch.setattr(groups, "measure", lambda *arguments: costs)
    monkeypatch.setattr(groups, "with_times", with_times)
    for minutes, times in ((2.0, [7.5]), (2.0, [7.5]), (20.0, [7.5, 75.0]), (60.0, [7.5, 75.0])):
        known = [one.latency_saved for one in group_costs(tmp_path, minutes)]
        assert known == ([0.1, None] if minutes == 2.0 else [0.1, 0.1])
        assert asked == times


def test_what_a_device_that_was_gone_could_not_tell_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: Any) -> Any:
        raise UserError("ssh: connection lost")

    costs = [groups.GroupCost("a", "channels", 8, 4, 0.1, 0.1, 0.2, 0.2)]
    timed = [dataclasses.replace(costs[0], latency_saved=0.3)]
    monkeypatch.setattr(searching, "GroupTimer", FakeTimer)
    monkeypatch.setattr(groups, "measure", lambda *arguments: costs)
    for with_times, expected in ((gone, costs), (lambda *arguments: timed, timed), (gone, timed)):
        monkeypatch.setattr(groups, "with_times", with_times)
        assert group_costs(tmp_path, 20.0) == expected


LOGGED = [entry(Point(), 0), entry(Point(0.5), 1, 11.9, 10.0), entry(Point(sparsity=0.7), 1, 9.9, 8.0)]


def test_a_log_is_that_of_the_same_search_alone(tmp_path: Path) -> None:
    search(tmp_path).log.begin(None)
    assert search(tmp_path).log.is_there()
    assert search(tmp_path, search_minutes=5).log.is_there()  # More time goes on.
    assert not search(tmp_path, BudgetConfig(max_size_kb=40)).log.is_there()
    assert not search(tmp_path, max_candidates=7).log.is_there()


def test_it_ends_with_its_candidates_and_finishes_what_is_best_before() -> None:
    made = search(Path())
    assert made._decide(LOGGED, float("inf")) is not None
    late = [*LOGGED, *(entry(Point(0.25 + at / 8), 1) for at in range(2))]
    decision = made._decide(late, float("inf"))
    assert decision is not None
    assert (decision.why, decision.epochs) == ("finish", 9)
    assert made._decide([*late, entry(Point(clusters=8), 1)], float("inf")) is None


def paced(log: list[dict[str, Any]], minutes: float = 60.0, left: float = 3000.0) -> Proposer:
    made = search(Path(), search_minutes=minutes, max_candidates=None)
    made._pace(log, left)
    return made.proposer


def test_what_a_candidate_costs_decides_how_many_epochs_it_gets_first() -> None:
    unknown = paced(LOGGED[:1])  # Nothing is known of epochs.
    assert (unknown.rungs, unknown.begins, unknown.left) == ([1, 3, 9], True, float("inf"))
    # 2 s and 9 s an epoch: 83 s beside 11 and 29, and an hour has 43 of those.
    assert paced(LOGGED).rungs == [1, 3, 9]
    assert paced(LOGGED)._first_epochs(Point(0.75)) == 1
    # 6 s and 1 s an epoch: 15 s are more than half as much again as 7, and as 9. With half a second all come at once.
    assert paced([entry(Point(0.5), 1, 6.9, 1.0)])._first_epochs(Point(0.75)) == 3
    assert paced([entry(Point(0.5), 1, 12.4, 0.5)])._first_epochs(Point(0.75)) == 9
    assert paced([entry(Point(0.5), 1, 12.4)])._first_epochs(Point(0.75)) == 9  # Too short to be timed.
    assert paced([*LOGGED[:1], entry(Point(0.5), 9, 11.9, 10.0)], 10.0).rungs == [9]  # Of ten minutes few.


def test_before_one_was_trained_an_epoch_costs_what_the_models_own_does() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    made._an_epoch = 20.0
    made._pace(LOGGED[:1], 600.0)
    # 1.1 s and 20 s an epoch: all nine take 181 s, of which ten minutes have three: no few epochs to begin with.
    assert made.proposer.rungs == [9]
    assert made.proposer.price(Point(0.5), 9) == pytest.approx(1.1 * 181.1)
    made._pace(LOGGED, 500.0)  # What is known of candidates counts more.
    assert made.proposer.price(Point(0.25), 9) == pytest.approx(1.1 * 83)


def test_where_the_time_does_for_few_candidates_they_have_as_many_epochs_as_three_can() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    made._an_epoch = 20.0
    made._pace(LOGGED[:1], 550.0)
    assert made.proposer.rungs == [8]  # A third is 183 s, 167 without a margin of a tenth; 1.1 s and 20 s an epoch.
    made._an_epoch = 80.0
    made._pace(LOGGED[:1], 550.0)
    assert made.proposer.rungs == [6]  # Of two that half of all nine suffice for there is no time: one has what fits.
    made._pace(LOGGED[:1], 60.0)
    assert made.proposer.rungs == [1]
    assert not made.proposer._is_affordable(Point(0.5))  # Not even one.


def test_all_of_few_candidates_have_the_first_ones_epochs() -> None:
    """What begins like it would train its beginning again with any other number."""
    made = search(Path(), search_minutes=10, max_candidates=None)
    for epochs in (9, 5):
        trained = entry(Point(0.5), epochs, 100.0 + epochs * 80.0, 80.0)
        for left in (500.0, 100.0):
            made._pace([*LOGGED[:1], trained], left)
            assert made.proposer.rungs == [epochs]


def test_whoever_helps_takes_the_epochs_of_what_is_in_work() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    made._an_epoch = 80.0
    first = Trial(Point(0.5), 7, Candidate("s50_7", failure="is being made"))
    made._pace(LOGGED[:1], 500.0, [first])
    assert made.proposer.rungs == [7]


def test_a_candidate_that_could_not_be_made_tells_nothing_of_epochs() -> None:
    failed = entry(Point(0.5), 9, 0.5)
    failed["candidate"] |= {"failure": "out of memory", "steps": []}
    made = search(Path(), search_minutes=10, max_candidates=None)
    made._an_epoch = 80.0
    made._pace([*LOGGED[:1], failed], 500.0)
    assert made.proposer.rungs == [5]  # As without it, and not all nine because one has had them.
    assert made.proposer.price(Point(0.25), 9) == pytest.approx(1.1 * (1.1 + 9 * 80.0))


def test_it_begins_with_the_same_points_where_the_time_does_for_more_than_a_few() -> None:
    assert paced(LOGGED, 28.0).begins  # 83 s with all epochs, and twenty are 1,660.
    assert not paced(LOGGED, 27.0).begins
    assert not paced(
        [entry(Point(kind="dynamic"), 0, 481.0), *LOGGED], 28.0
    ).begins  # 504.2 of 1,680 s, and then 503.2.
    assert paced([entry(Point(kind="dynamic"), 0, 480.0), *LOGGED], 28.0).begins
    made = search(Path())  # Without a time the machine's speed decides nothing.
    made._pace(LOGGED, float("inf"))
    assert (made.proposer.rungs, made.proposer.begins, made.proposer.left) == ([1, 3, 9], True, float("inf"))
    assert made.proposer.price(Point(0.75), 9) == 10.0


def test_nothing_is_begun_that_does_not_fit_into_the_time_with_all_epochs() -> None:
    made = search(Path(), search_minutes=10, max_candidates=None)
    # A candidate without training takes 1.1 s, one with n epochs 2 s and 10 s each (8 s with all
    # channels), and a margin of a tenth. Kept for the end are 32.8 s: six of the frontier, and two more that may come,
    # take as long as the first one, and 3 s for measuring.
    ending, whole, lightest = 32.8, 1.1 * 92, 1.1 * 74
    untrained = [entry(Point(kind=kind), 0) for kind in ("dynamic", "float16")]
    known = [*LOGGED, *untrained, entry(Point(0.5, distil=False), 9, 91.9, 10.0)]
    made._pace(known, 1000.0)
    assert made._ending(known) == pytest.approx(ending)
    assert made.proposer.price(Point(kind="dynamic"), 0) == pytest.approx(1.1)
    assert made.proposer.price(Point(0.25), 9) == pytest.approx(whole)
    for left, begins in ((ending + whole + 0.1, True), (ending + lightest - 0.1, False)):
        decision = made._decide(known, left)
        assert decision is not None
        price = made.proposer.price(decision.point, decision.epochs)
        assert decision.epochs == 9
        assert lightest <= price if begins else price < lightest / 2  # Else what is trained goes on.
    # Of what is trained to the end something goes on for two more epochs, where nothing new can be begun.
    late = [*LOGGED, *untrained, entry(Point(0.5), 9, 92.9, 10.0)]
    decision = made._decide(late, 45.0)
    assert decision is not None
    assert (decision.point.ratio, decision.epochs) == (0.5, 9)
    assert made.proposer.price(decision.point, 9) < 45.0 - made._ending(late)
    assert made._decide(LOGGED, 20.0) is None


def test_what_others_are_making_is_not_decided_on_again() -> None:
    made = search(Path())
    first = made._decide(LOGGED, float("inf"))
    assert first is not None
    pending = [Trial(first.point, first.epochs, Candidate(first.point.name, failure="is being made"))]
    second = made._decide(LOGGED, float("inf"), pending)
    assert second is not None
    assert second.point != first.point
    assert made._decide(LOGGED, float("inf"), pending * 3) is None  # Three and three are six.


def began(made: Search, folder: Path) -> None:
    """Leaves behind what a process leaves that has begun the search."""
    made.log.begin(None)
    (folder / "float32").mkdir()
    (folder / "float32" / "candidate.json").write_text(json.dumps(BASELINE.to_json()))


def test_whoever_helps_is_told_that_the_process_that_was_to_conclude_has_gone(tmp_path: Path) -> None:
    made = search(tmp_path, max_candidates=2)
    began(made, tmp_path)
    with pytest.raises(KeyboardInterrupt), made.log.led():
        raise KeyboardInterrupt
    with pytest.raises(WorkerLostError, match="made 2 candidates, but the process") as ended:
        made.join()
    assert ended.value.exit_code == 75
    assert len(made.log.read()) == 2  # Nothing is lost.


def test_two_processes_share_a_search(tmp_path: Path) -> None:
    job: Any = SimpleNamespace(
        folder=tmp_path, format="tflite", key_of_model=lambda: {"weights": "a"}, say=lambda sentence: None
    )
    made = Made(job, BudgetConfig(), SearchConfig(max_candidates=12, search_epochs=9))
    assert not made.can_join()
    began(made, tmp_path)
    assert not made.can_join()  # Whoever has begun it has gone.
    with made.log.led():
        assert made.can_join()
        helper = os.fork()
        if not helper:
            os._exit(made.join())
        done = made._work(BASELINE, 0)
        helped = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    log = made.log.read()
    assert made.log.is_quiet()
    assert (done + helped, len(log)) == (12, 12)
    assert helped > 0
    assert done > 0
    assert sorted(one["number"] for one in log) == list(range(1, 13))
    assert {one["by"] for one in log} == {os.getpid(), helper}
    assert {one["worker"] for one in log} == {0, helper}
    decided = [(json.dumps(one["decision"]["point"]), one["decision"]["epochs"]) for one in log]
    assert len(set(decided)) == 12
