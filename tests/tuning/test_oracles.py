"""Which trials are chosen: first points first, evenly spread, conditional, and the same however many workers ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.tuning.oracles import OBJECTIVE, make_oracle
from tfday7.tuning.parameters import Parameter
from tfday7.tuning.space import Space

RATE = Parameter("learning_rate", (1e-4, 1e-1), "log")
SPACE = Space((RATE, Parameter("batch_size", (16, 32), "choice")), ({"learning_rate": 1e-3, "batch_size": 32},))
CONDITIONAL = Space(
    (
        Parameter("optimizer", ("adam", "sgd"), "choice"),
        Parameter("learning_rate", (1e-4, 1e-2), "log", "adam"),
        Parameter("learning_rate", (1e-2, 1.0), "log", "sgd"),
        Parameter("momentum", (0.0, 0.9), "linear", "sgd"),
    )
)


def _oracle(tuner: str, space: Space, trials: int, seed: int, folder: Path) -> Any:
    oracle = make_oracle(tuner, space, "max", trials, seed, epochs=9)
    oracle.verbose = 0
    oracle._set_project_dir(str(folder.parent), folder.name)
    return oracle


def _end(oracle: Any, trial: Any, score: float) -> None:
    oracle.update_trial(trial.trial_id, {OBJECTIVE: score})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def _drawn(tuner: str, space: Space, trials: int, tmp_path: Any, seed: int = 0, workers: int = 1) -> list[dict]:
    oracle = _oracle(tuner, space, trials, seed, tmp_path / f"{tuner}{seed}{workers}")
    values = []
    while True:
        asked = [oracle.create_trial(f"tuner{worker}") for worker in range(workers)]
        if any(trial.status == "STOPPED" for trial in asked):
            return values
        for trial in asked:
            values.append(trial.hyperparameters.values)
            _end(oracle, trial, float(len(values)))


@pytest.mark.parametrize("tuner", ["quasi_random", "random", "bayesian"])
def test_the_first_points_come_first_and_all_values_lie_in_their_ranges(tuner: str, tmp_path: Any) -> None:
    values = _drawn(tuner, SPACE, 8, tmp_path)
    assert values[0] == SPACE.first[0]
    assert len(values) == 8
    assert len({tuple(sorted(each.items())) for each in values}) == 8
    for each in values:
        assert 1e-4 <= each["learning_rate"] <= 1e-1
        assert each["batch_size"] in (16, 32)


@pytest.mark.parametrize("tuner", ["quasi_random", "random", "bayesian", "hyperband"])
def test_a_true_or_false_stays_one(tuner: str, tmp_path: Any) -> None:
    nesterov = Parameter("nesterov", (True, False), "choice", "sgd")
    space = Space((Parameter("optimizer", ("adam", "sgd"), "choice"), nesterov, RATE))
    drawn = [values["sgd.nesterov"] for values in _drawn(tuner, space, 12, tmp_path) if "sgd.nesterov" in values]
    assert {(type(value), value) for value in drawn} == {(bool, True), (bool, False)}
    oracle = _oracle(tuner, space, 2, 0, tmp_path / "sent")
    sent = type(oracle.hyperparameters).from_proto(oracle.hyperparameters.to_proto())  # To another process.
    (flag,) = (each for each in sent.space if each.name == "sgd.nesterov")
    assert all(isinstance(flag.prob_to_value(place), bool) for place in (0.1, 0.9))


@pytest.mark.parametrize("tuner", ["quasi_random", "random"])
def test_the_trials_do_not_depend_on_how_many_workers_there_are(tuner: str, tmp_path: Any) -> None:
    assert _drawn(tuner, SPACE, 6, tmp_path) == _drawn(tuner, SPACE, 6, tmp_path, workers=3)


@pytest.mark.parametrize("tuner", ["quasi_random", "random", "bayesian", "hyperband"])
def test_a_trial_has_the_hyperparameters_of_its_optimizer_alone(tuner: str, tmp_path: Any) -> None:
    for values in _drawn(tuner, CONDITIONAL, 12, tmp_path):
        ours = {key for key in values if not key.startswith("tuner/")}
        of_adam, of_sgd = {"adam.learning_rate"}, {"sgd.learning_rate", "sgd.momentum"}
        assert ours == {"optimizer"} | (of_adam if values["optimizer"] == "adam" else of_sgd)


def test_quasi_random_points_leave_no_large_hole(tmp_path: Any) -> None:
    """Of 32 points of a Halton sequence each eighth of the range holds about 4; at random 1 in 8 such parts holds 1."""
    space = Space((RATE, Parameter("weight_decay", (1e-5, 1e-1), "log")))
    values = _drawn("quasi_random", space, 32, tmp_path)
    for parameter in space.parameters:
        places = [parameter.place(each[parameter.key]) for each in values]
        counts = np.histogram(places, bins=8, range=(0, 1))[0]
        assert counts.min() >= 3
        assert counts.max() <= 5


def test_seeds_differ(tmp_path: Any) -> None:
    assert _drawn("quasi_random", SPACE, 4, tmp_path)[1:] != _drawn("quasi_random", SPACE, 4, tmp_path, seed=1)[1:]


def test_a_space_that_is_used_up_ends_the_search(tmp_path: Any) -> None:
    space = Space((Parameter("batch_size", (8, 16, 32), "choice"),))
    assert sorted(each["batch_size"] for each in _drawn("quasi_random", space, 20, tmp_path)) == [8, 16, 32]


def test_hyperband_halves_by_hand_computed_numbers(tmp_path: Any) -> None:
    """For 9 epochs and factor 3 the bracket that halves most has 9 trials of 1 epoch, 3 of 3 and 1 of 9 (Li et al.)."""
    values = _drawn("hyperband", Space((RATE,)), 13, tmp_path)
    assert [each["tuner/epochs"] for each in values] == [1] * 9 + [3] * 3 + [9]
    best = [int(each["tuner/trial_id"]) for each in values[9:12]]
    assert best == [8, 7, 6]  # Later trials are better here: 9, 8 and 7 of the first nine go on.


@pytest.mark.parametrize(
    ("tuner", "ended"), [("quasi_random", 4), ("random", 4), ("bayesian", 6), ("hyperband", 4), ("hyperband", 10)]
)
def test_a_trial_that_the_state_does_not_know_is_chosen_again(
    tuner: str, ended: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill came between both files. After nine trials Hyperband goes on with the best of them, each of them once."""
    whole = _drawn(tuner, SPACE, ended + 2, tmp_path)
    killed = _oracle(tuner, SPACE, ended + 2, 0, tmp_path / "killed")
    values = []
    for number in range(ended):
        trial = killed.create_trial("tuner0")
        values.append(trial.hyperparameters.values)
        _end(killed, trial, number + 1.0)

    def kill() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(killed, "save", kill)
    with pytest.raises(KeyboardInterrupt):
        killed.create_trial("tuner0")
    assert len(list((tmp_path / "killed").glob("trial_*/trial.json"))) == ended + 1
    again = _oracle(tuner, SPACE, ended + 2, 0, tmp_path / "killed")
    again.reload()
    for number in range(ended, ended + 2):
        trial = again.create_trial("tuner0")
        assert int(trial.trial_id) == number
        values.append(trial.hyperparameters.values)
        _end(again, trial, number + 1.0)
    assert values == whole
