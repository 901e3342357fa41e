"""A study finds the best rate of a known formula, goes beyond a bound, and survives being killed."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuning.conftest import fail_with_seeds

from tfday7.core.errors import GateError, UserError
from tfday7.tuning import trial
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.search import Trial
from tfday7.tuning.study import Progress, Study

Formula = list[dict[str, Any]]


def _study(make_job: Callable[..., Any], tune: str, folder: Path, **config: Any) -> Study:
    job, space = make_job(tune)
    return Study(job, space, TuningConfig(**{"trials": 8, **config}), folder)


@pytest.mark.parametrize("tuner", ["quasi_random", "random", "bayesian"])
def test_the_best_trial_is_near_the_best_rate(
    tuner: str, make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    record = _study(make_job, "learning_rate=1e-4..0.9", tmp_path, trials=16, tuner=tuner).run()
    assert len(record["trials"]) == 16
    assert 0.003 < record["best"]["values"]["learning_rate"] < 0.03
    values = [each["value"] for each in record["trials"]]
    assert record["best"]["value"] == max(values)
    assert record["best"]["trial"] == 1 + values.index(max(values))


def test_the_spread_is_that_of_other_seeds(make_job: Callable[..., Any], formula: Formula, tmp_path: Path) -> None:
    best = _study(make_job, "learning_rate=1e-4..0.9", tmp_path, reruns=3).run()["best"]
    expected = [best["value"] - 0.001 * seed for seed in (1, 2, 3)]  # What the formula gives for seeds.
    assert [rerun["value"] for rerun in best["reruns"]] == pytest.approx(expected)
    assert best["spread"]["mean"] == pytest.approx(expected[1])
    assert best["spread"]["std"] == pytest.approx(0.001)


def test_seeds_that_fail_are_counted_and_leave_the_spread_to_the_others(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with_seeds(monkeypatch, {2})
    best = _study(make_job, "learning_rate=1e-4..0.9", tmp_path, reruns=3).run()["best"]
    assert (best["failed"], [rerun["value"] is None for rerun in best["reruns"]]) == (1, [False, True, False])
    assert best["spread"]["mean"] == pytest.approx(best["value"] - 0.002)  # Of seeds 1 and 3.


def test_a_best_trial_at_a_bound_widens_the_search_once(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    record = _study(make_job, "learning_rate=1e-5..1e-3", tmp_path).run()
    assert record["widened"][0]["range"] == pytest.approx([1e-3, 1e-1])
    assert len(record["trials"]) == 8 + 4
    assert [each["number"] for each in record["trials"]] == list(range(1, 13))
    assert record["best"]["values"]["learning_rate"] > 1e-3
    fixed = _study(make_job, "learning_rate=1e-5..1e-3", tmp_path / "fixed", widen=False).run()
    assert len(fixed["trials"]) == 8
    assert fixed["best"]["at_bound"] == {"learning_rate": "high"}


@pytest.mark.parametrize(("batch", "folds"), [(16, 1), (8, 1), (16, 3)])
def test_a_warm_up_is_not_widened_beyond_half_of_the_run(
    batch: int, folds: int, make_job: Callable[..., Any], tmp_path: Path
) -> None:
    study = _study(make_job, "warmup_steps=2..10:log,batch_size=8|16", tmp_path, folds=folds)
    best = Trial(1, {"warmup_steps": 10, "batch_size": batch}, trial.Outcome(0.9, "", (0.9,), 6, 1.0))
    examples = len(study.job.dataset.train) * (2 / 3 if folds == 3 else 1)
    steps = 6 * math.ceil(examples / batch)
    assert study._widened(best).parameters[0].range == (10, min(50, round(steps / 2)))


def test_where_both_searches_meet_is_no_bound(make_job: Callable[..., Any], formula: Formula, tmp_path: Path) -> None:
    study = _study(make_job, "learning_rate=1e-4..0.0105", tmp_path, trials=12)
    study.space = dataclasses.replace(study.space, first=({"learning_rate": 0.01},))
    record = study.run()
    assert record["widened"]
    assert record["best"]["values"] == {"learning_rate": 0.01}
    assert record["best"]["at_bound"] == {}


def test_infeasible_trials_are_recorded_with_their_reason_and_never_win(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = _study(make_job, "learning_rate=1e-2..1e3", tmp_path).run()
    assert capfd.readouterr() == ("", "")  # No traceback for what is no error.
    infeasible = [each for each in record["trials"] if each["value"] is None]
    assert infeasible
    assert all(each["values"]["learning_rate"] > 1 and "diverged" in each["reason"] for each in infeasible)
    assert record["best"]["values"]["learning_rate"] <= 1


def test_a_search_without_a_feasible_trial_fails_its_gate_and_keeps_them(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    with pytest.raises(GateError, match="none of 5 trials was feasible: diverged") as caught:
        _study(make_job, "learning_rate=2..2000", tmp_path, trials=5).run()
    assert "--tune=learning_rate=" in caught.value.hint
    assert len(list(tmp_path.glob("search/trial_*/outcome.json"))) == 5


@pytest.mark.parametrize(
    ("tuner", "tune", "settings"),
    [
        ("quasi_random", "learning_rate=1e-4..0.9,batch_size=8|16", {}),
        ("random", "learning_rate=1e-4..0.9,batch_size=8|16", {}),
        ("bayesian", "learning_rate=1e-4..0.9", {"trials": 5, "widen": False}),  # The process proposes from the fourth.
    ],
)
def test_a_killed_search_loses_no_finished_trial_and_ends_as_if_it_had_not_been(
    tuner: str,
    tune: str,
    settings: dict[str, Any],
    make_job: Callable[..., Any],
    formula: Formula,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = _study(make_job, tune, tmp_path / "whole", tuner=tuner, **settings).run()
    trained = len(formula)
    train = trial.run

    def killed(*arguments: Any, **settings: Any) -> Any:
        if len(formula) == trained + 3:
            raise KeyboardInterrupt
        return train(*arguments, **settings)

    study = _study(make_job, tune, tmp_path / "killed", tuner=tuner, **settings)
    monkeypatch.setattr(trial, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    monkeypatch.setattr(trial, "run", train)
    assert study.run() == whole
    assert len(formula) == 2 * trained  # Not one trial was trained twice.


def test_a_finished_study_trains_nothing_again_and_more_trials_go_on(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    tune = "learning_rate=1e-4..0.9"
    first = _study(make_job, tune, tmp_path, trials=12).run()
    trained = len(formula)
    assert _study(make_job, tune, tmp_path, trials=12).run() == first
    assert len(formula) == trained
    more = _study(make_job, tune, tmp_path, trials=15).run()
    assert more["trials"][:12] == first["trials"]
    assert len(more["trials"]) == 15


def test_a_folder_of_another_space_is_refused_and_keeps_its_trials(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    _study(make_job, "learning_rate=1e-4..0.9", tmp_path).run()
    with pytest.raises(UserError, match="holds the search of another space") as caught:
        _study(make_job, "learning_rate=1e-5..0.9", tmp_path).run()
    assert "--overwrite" in caught.value.hint
    assert len(list(tmp_path.glob("search/trial_*/outcome.json"))) == 8


def test_a_kill_between_two_files_loses_no_trial(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    """The trial was noted as begun, and the state of the oracle not yet written."""
    tune = "learning_rate=1e-4..0.9"
    _study(make_job, tune, tmp_path, trials=4, widen=False).run()
    before = (tmp_path / "search" / "oracle.json").read_text(encoding="utf-8")
    _study(make_job, tune, tmp_path, trials=5, widen=False).run()
    (tmp_path / "search" / "oracle.json").write_text(before, encoding="utf-8")
    orphan = tmp_path / "search" / "trial_4" / "trial.json"
    state = json.loads(orphan.read_text(encoding="utf-8"))
    orphan.write_text(json.dumps({**state, "status": "RUNNING", "score": None}), encoding="utf-8")
    (orphan.parent / "outcome.json").unlink()
    record = _study(make_job, tune, tmp_path, trials=5, widen=False).run()
    assert [each["number"] for each in record["trials"]] == [1, 2, 3, 4, 5]


def test_what_killed_processes_left_half_written_is_removed_and_not_passed_on(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, killed, passed_on = trial.run, list[int](), list[bool]()

    def leaves(*arguments: Any, folder: Any = None, **settings: Any) -> Any:
        places = [folder.path, folder.path.parent, tmp_path / "search"] if folder else [tmp_path / "reruns"]
        assert not [left for place in places for left in place.glob(".partial-*")]
        passed_on.append(bool(folder) and (folder / "own").exists())
        if len(formula) == 2 and not killed:
            killed.append(2)
            for place in [*places, tmp_path / "reruns"]:
                (place / ".partial-left").mkdir(parents=True)
            raise KeyboardInterrupt
        outcome = train(*arguments, **settings)
        if folder:
            (folder.path / "own").touch()
            (folder.path / ".partial-left").mkdir()
        return outcome

    monkeypatch.setattr(trial, "run", leaves)
    settings = {"tuner": "hyperband", "reruns": 1, "widen": False}
    with pytest.raises(KeyboardInterrupt):
        _study(make_job, "learning_rate=1e-4..0.9", tmp_path, **settings).run()
    _study(make_job, "learning_rate=1e-4..0.9", tmp_path, **settings).run()
    assert any(passed_on)


def test_keras_tuner_writes_no_file_in_place(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: str, record: Any) -> None:
        Path(path).write_text("", encoding="utf-8")
        raise OSError(path)

    monkeypatch.setattr("keras_tuner.src.utils.save_json", killed)
    _study(make_job, "learning_rate=1e-4..0.9", tmp_path, trials=3).run()
    assert (tmp_path / "search" / "tuner0.json").stat().st_size
    assert len(_study(make_job, "learning_rate=1e-4..0.9", tmp_path, trials=3).run()["trials"]) == 3


def test_settings_that_can_never_begin_are_the_users_mistake(
    make_job: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(make_job, "learning_rate", tmp_path, trials=2)
    study.job = dataclasses.replace(study.job, training=dataclasses.replace(study.job.training, batch_size=100_000))
    with pytest.raises(UserError, match="none of 2 trials could begin: --batch_size=100000"):
        study.run()


@pytest.mark.parametrize("damage", ["{", "[]", '{"trials": 3}'])
def test_a_damaged_state_is_a_mistake_that_names_the_folder(
    damage: str, make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    _study(make_job, "learning_rate=1e-4..0.9", tmp_path).run()
    (tmp_path / "search" / "oracle.json").write_text(damage)
    with pytest.raises(UserError, match="its search cannot be read"):
        _study(make_job, "learning_rate=1e-4..0.9", tmp_path, trials=9).run()


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name), lambda path: None])
def test_what_is_no_file_in_the_place_of_the_state_is_told(
    put: Callable[[Path], Any], make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    """keras-tuner would wait for a pipe without end."""
    _study(make_job, "learning_rate=1e-4..0.9", tmp_path).run()
    state = tmp_path / "search" / "oracle.json"
    state.unlink()
    put(state)
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "search"))):
        _study(make_job, "learning_rate=1e-4..0.9", tmp_path, trials=9).run()


@pytest.mark.parametrize(
    "space",
    [
        [], {}, [{"name": "x", "range": [1], "scale": "linear", "optimizer": ""}],
        [{"name": "learning_rate", "range": ["a", "b"], "scale": "log", "optimizer": ""}],
        [{"name": "learning_rate", "range": [1], "scale": "linear", "optimizer": ""}],
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_widened_space_is_named(
    space: Any, make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    _study(make_job, "learning_rate=1e-5..1e-3", tmp_path).run()
    (tmp_path / "widened" / "space.json").write_text(json.dumps(space))
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "widened"))):
        _study(make_job, "learning_rate=1e-5..1e-3", tmp_path).run()


def test_a_bug_in_training_is_not_taken_for_a_bad_trial(
    make_job: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **settings: Any) -> Any:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(trial, "run", broken)
    with pytest.raises(ZeroDivisionError, match="ours"):
        _study(make_job, "learning_rate", tmp_path).run()


def test_progress_tells_of_every_trial_and_which_is_the_best_so_far(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    told: list[tuple[int, bool, float | None]] = []
    study = _study(make_job, "learning_rate=1e-5..1e-3", tmp_path)
    study.progress = Progress(lambda each, is_best: told.append((each.number, is_best, each.outcome.value)))
    study.run()
    assert [number for number, _, _ in told] == list(range(1, 13))
    best = -1.0
    for _, is_best, value in told:
        assert is_best == (value is not None and value > best)
        best = max(best, -1.0 if value is None else value)


def test_the_target_is_dated_by_trials_and_seconds(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path
) -> None:
    record = _study(make_job, "learning_rate=1e-4..0.9", tmp_path, target_value=0.9).run()
    first = next(each["number"] for each in record["trials"] if each["value"] >= 0.9)
    assert record["target"]["reached"] == {"trial": first, "seconds": 0.5 * first}  # Each takes half a second.
    missed = _study(make_job, "learning_rate=1e-4..0.9", tmp_path / "missed", target_value=2.0).run()
    assert missed["target"] == {"value": 2.0, "reached": None}


def test_trials_survive_their_records(make_job: Callable[..., Any], formula: Formula, tmp_path: Path) -> None:
    record = _study(make_job, "optimizer=adam|sgd,learning_rate", tmp_path).run()
    for each in json.loads(json.dumps(record["trials"])):
        assert Trial.from_json(each, tmp_path).to_json() == each


@pytest.mark.parametrize("damaged", [[], {"number": "1"}, {"value": "high"}, {"values": None}], ids=str)
def test_a_trial_whose_record_is_damaged_is_told_with_its_file(
    make_job: Callable[..., Any], formula: Formula, tmp_path: Path, damaged: Any
) -> None:
    study = _study(make_job, "learning_rate", tmp_path)
    study.run()
    path = tmp_path / "search" / "trial_0" / "outcome.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damaged} if damaged else damaged))
    with pytest.raises(UserError, match=re.escape(str(path))):
        study.run()
