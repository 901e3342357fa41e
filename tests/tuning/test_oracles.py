"""Which trials are chosen: first points first, evenly spread, conditional, and the same however many workers ask."""

from __future__ import annotations

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


def _drawn(tuner: str, space: Space, trials: int, tmp_path: Any, seed: int = 0, workers: int = 1) -> list[dict]:
    oracle = make_oracle(tuner, space, "max", trials, seed, epochs=9)
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), f"{tuner}{seed}{workers}")
    values = []
    while True:
        asked = [oracle.create_trial(f"tuner{worker}") for worker in range(workers)]
        if any(trial.status == "STOPPED" for trial in asked):
            return values
        for trial in asked:
            values.append(trial.hyperparameters.values)
            oracle.update_trial(trial.trial_id, {OBJECTIVE: float(len(values))})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)


@pytest.mark.parametrize("tuner", ["quasi_random", "random", "bayesian"])
def test_the_first_points_come_first_and_all_values_lie_in_their_ranges(tuner: str, tmp_path: Any) -> None:
    values = _drawn(tuner, SPACE, 8, tmp_path)
    assert values[0] == SPACE.first[0]
    assert len(values) == 8
    assert len({tuple(sorted(each.items())) for each in values}) == 8
    for each in values:
        assert 1e-4 <= each["learning_rate"] <= 1e-1
        assert each["batch_size"] in (16, 32)


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
