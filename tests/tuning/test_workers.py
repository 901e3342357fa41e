"""Workers on other machines may go without a word; the search says whom it waits for, and not for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.tuning import workers
from tfday7.tuning.search import Trial
from tfday7.tuning.trial import Outcome

# A worker that says where it is, instead of working, and a search that waits for it.
SLEEPS = """
import os, sys, time
if "tfday7.tuning.workers" in sys.orig_argv:
    print(os.getpid(), flush=True)
    time.sleep(60)
"""
SEARCH = """
from pathlib import Path
from tfday7.tuning import workers
workers._start(Path({folder!r}), 0, "127.0.0.1:1").wait()
"""
SECONDS = 30.0  # Of a look, as the clock of these tests goes.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on by half a minute each time that something is waited for."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += SECONDS

    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    return now


def _end(folder: Path, number: int, seconds: float) -> None:
    outcome = Outcome(0.5, "", (0.5,), 1, seconds)
    files.write_json(folder / f"trial_{number - 1}" / "outcome.json", Trial(number, {}, outcome, "far-1").to_json())


def _ended(count: int) -> Any:
    return [SimpleNamespace(poll=lambda: 0) for _ in range(count)]


def _at_work(count: int, until: Callable[[], bool] = lambda: False) -> Any:
    return [SimpleNamespace(poll=lambda: 0 if until() else None) for _ in range(count)]


def test_a_worker_that_went_without_a_word_is_named_and_not_awaited_for_ever(
    tmp_path: Path, clock: list[float]
) -> None:
    said: list[str] = []
    oracle = SimpleNamespace(ongoing_trials={"far-1": SimpleNamespace(trial_id="4")})
    with pytest.raises(UserError, match="trial 5 of far-1: not ended 10 minutes after all others") as caught:
        workers._wait(_ended(2), tmp_path, lambda trial: None, oracle, said.append)
    assert "the same command goes on" in caught.value.hint
    assert said == ["no other trial is at work; waiting for trial 5 of far-1"]
    assert clock[0] == pytest.approx(workers.PATIENCE_SECONDS, abs=3 * SECONDS)


def test_long_trials_are_awaited_for_longer(tmp_path: Path, clock: list[float]) -> None:
    _end(tmp_path, 1, seconds=3600.0)
    oracle = SimpleNamespace(ongoing_trials={"far-1": SimpleNamespace(trial_id="4")})
    with pytest.raises(UserError, match="not ended 600 minutes after"):
        workers._wait(_ended(1), tmp_path, lambda trial: None, oracle, lambda sentence: None)


def test_workers_here_that_wait_for_one_that_has_gone_do_not_wait_for_ever(tmp_path: Path, clock: list[float]) -> None:
    # Hyperband proposes nothing while a rung is not complete, so workers stay that have nothing to do.
    oracle = SimpleNamespace(ongoing_trials={"far-1": SimpleNamespace(trial_id="4")})
    with pytest.raises(UserError, match="trial 5 of far-1: not ended 10 minutes after all others"):
        workers._wait(_at_work(2), tmp_path, lambda trial: None, oracle, lambda sentence: None)


def test_a_worker_here_may_take_as_long_as_it_takes(tmp_path: Path, clock: list[float]) -> None:
    class Oracle:
        @property
        def ongoing_trials(self) -> dict[str, Any]:
            if clock[0] > 5 * workers.PATIENCE_SECONDS:
                return {}
            is_between = clock[0] % (10 * SECONDS) == 0  # Two of its trials, where it has none.
            mine = {} if is_between else {"worker1": SimpleNamespace(trial_id="5")}
            return {"far-1": SimpleNamespace(trial_id="4"), **mine}

    said: list[str] = []
    ends = 5 * workers.PATIENCE_SECONDS
    workers._wait(_at_work(2, until=lambda: clock[0] > ends), tmp_path, lambda trial: None, Oracle(), said.append)
    assert said == []


def test_a_trial_that_ends_in_time_is_told(tmp_path: Path, clock: list[float]) -> None:
    said: list[str] = []
    told: list[int] = []

    class Oracle:
        @property
        def ongoing_trials(self) -> dict[str, Any]:
            if clock[0] < 5 * SECONDS:
                return {"far-1": SimpleNamespace(trial_id="4"), "far-2": SimpleNamespace(trial_id="5")}
            if clock[0] < 15 * SECONDS:
                _end(tmp_path, 5, 1.0)
                return {"far-2": SimpleNamespace(trial_id="5")}
            _end(tmp_path, 6, 1.0)
            return {}

    workers._wait(_ended(1), tmp_path, lambda trial: told.append(trial.number), Oracle(), said.append)
    assert told == [5, 6]
    assert [sentence.partition("waiting for ")[2] for sentence in said] == [
        "trial 5 of far-1, trial 6 of far-2",
        "trial 6 of far-2",
    ]


def _runs(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_no_worker_outlives_a_search_that_is_killed(tmp_path: Path) -> None:
    """It would go on against the search that takes its place."""
    (tmp_path / "sitecustomize.py").write_text(SLEEPS)
    path = os.pathsep.join([str(tmp_path), str(Path(workers.__file__).resolve().parents[2])])
    script, log = SEARCH.format(folder=str(tmp_path)), tmp_path / "worker0.log"
    search = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    while not (log.exists() and log.read_text().endswith("\n")):
        assert search.poll() is None
        time.sleep(0.05)
    worker = int(log.read_text())
    assert _runs(worker)
    search.kill()
    search.wait()
    deadline = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlived its search"
        time.sleep(0.05)


def test_a_link_in_the_place_of_a_workers_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("old")
    (tmp_path / "worker0.log").symlink_to("precious")
    with pytest.raises(UserError, match=r"worker0\.log: a link; expected a file"):
        workers._start(tmp_path, 0, "127.0.0.1:1")
    assert (tmp_path / "precious").read_text() == "old"
