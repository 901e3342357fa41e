"""A bake-off gives every optimizer the same trials, and compares them by the target that all of them reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuning.conftest import fail_with_seeds

from tfday7.core.errors import UserError
from tfday7.optimizers import OptimizerConfig
from tfday7.tuning import bakeoff, tuning
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.study import Study


def _run(make_job: Callable[..., Any], folder: Path, **config: Any) -> dict[str, Any]:
    settings = TuningConfig(trials=4, reruns=2, widen=False, compare="adam,sgd", **config)
    ranges = {"adam": "learning_rate=0.005..0.05", "sgd": "learning_rate=1e-5..1e-4"}
    studies = {}
    for name, tune in ranges.items():
        job, space = make_job(tune, optimizer=name)
        studies[name] = Study(job, space, settings, folder / name)
    return bakeoff.run(studies, settings, lambda sentence: None)


def test_the_better_optimizer_wins_with_its_own_settings(
    make_job: Callable[..., Any], formula: list[Any], tmp_path: Path
) -> None:
    record = _run(make_job, tmp_path)
    assert record["compare"]["winner"] == "adam"
    assert record["best"]["flags"]["optimizer"] == "adam"
    rows = {row["optimizer"]: row for row in record["compare"]["optimizers"]}
    assert [row["trials"] for row in rows.values()] == [4, 4]
    assert rows["adam"]["spread"]["mean"] > rows["sgd"]["spread"]["mean"]


def test_who_fails_with_a_seed_does_not_win_by_the_mean_of_the_others(
    make_job: Callable[..., Any], formula: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with_seeds(monkeypatch, {2}, "adam")
    record = _run(make_job, tmp_path)
    rows = {row["optimizer"]: row for row in record["compare"]["optimizers"]}
    assert rows["adam"]["spread"]["mean"] > rows["sgd"]["spread"]["mean"]
    assert {name: row["failed"] for name, row in rows.items()} == {"adam": 1, "sgd": 0}
    assert record["compare"]["winner"] == record["best"]["flags"]["optimizer"] == "sgd"


def test_the_target_is_what_the_worst_rerun_reaches_and_all_are_timed_by_it(
    make_job: Callable[..., Any], formula: list[Any], tmp_path: Path
) -> None:
    compare = _run(make_job, tmp_path)["compare"]
    rows = {row["optimizer"]: row for row in compare["optimizers"]}
    assert compare["target"] == rows["sgd"]["spread"]["low"]
    # The formula's curve is half of the value, then the value; two epochs take half a second.
    assert (rows["sgd"]["epochs_to_target"], rows["sgd"]["seconds_to_target"]) == (2, 0.5)


def test_an_optimizer_that_only_diverges_does_not_end_the_bakeoff(
    make_job: Callable[..., Any], formula: list[Any], tmp_path: Path
) -> None:
    settings = TuningConfig(trials=3, reruns=1, widen=False, compare="sgd,adam")
    studies = {}
    for name, tune in {"sgd": "learning_rate=2..2000", "adam": "learning_rate=0.005..0.05"}.items():
        job, space = make_job(tune, optimizer=name)
        studies[name] = Study(job, space, settings, tmp_path / name)
    compare = bakeoff.run(studies, settings, lambda sentence: None)["compare"]
    assert compare["winner"] == "adam"
    sgd = next(row for row in compare["optimizers"] if row["optimizer"] == "sgd")
    assert (sgd["value"], sgd["trials"], sgd["infeasible"]) == (None, 3, 3)
    assert "diverged" in sgd["reason"]


def test_who_does_not_reach_a_given_target_has_no_time(
    make_job: Callable[..., Any], formula: list[Any], tmp_path: Path
) -> None:
    rows = {row["optimizer"]: row for row in _run(make_job, tmp_path, target_value=0.9)["compare"]["optimizers"]}
    assert rows["adam"]["epochs_to_target"] == 2
    assert rows["sgd"]["epochs_to_target"] is None


@pytest.mark.parametrize("compare", ["adam", "adam,adam", "adam, ,adam"])
def test_a_comparison_needs_two(compare: str) -> None:
    with pytest.raises(UserError, match="expected two or more different optimizers"):
        tuning.check(TuningConfig(compare=compare), OptimizerConfig())


def test_a_setting_that_one_of_them_does_not_take_is_refused_before_any_trial() -> None:
    with pytest.raises(UserError, match=r"--beta_1=0\.8 has no meaning for --optimizer=sgd"):
        tuning.check(TuningConfig(compare="adam,sgd"), OptimizerConfig(beta_1=0.8))


def test_an_unknown_optimizer_is_named() -> None:
    for config in (TuningConfig(compare="adam,addam"), TuningConfig(tune="optimizer=adam|addam")):
        with pytest.raises(UserError, match="unknown optimizer 'addam'"):
            tuning.check(config, OptimizerConfig())


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        ({"tuner": "hyperband", "folds": 3}, ("--tuner=hyperband", "--folds=3")),
        ({"compare": "adam,sgd", "tune": "dropout"}, ("--compare=adam,sgd", "--tune=dropout")),
        ({"compare": "adam,sgd", "folds": 3}, ("--compare=adam,sgd", "--folds=3")),
    ],
)
def test_contradictions_name_both_flags(settings: dict[str, Any], flags: tuple[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        TuningConfig(**settings)
    assert all(flag in caught.value.message for flag in flags)
