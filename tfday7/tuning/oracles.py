"""keras-tuner's oracles, told where to begin, and one of our own that spreads its trials evenly.

Values of random and quasi-random search are a function of the seed and of a trial's number: it does not matter how many
workers there are. Importing this module loads Keras 3, through keras-tuner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.src import config as keras_tuner_config
from keras_tuner.src.engine import conditions
from keras_tuner.src.tuners.bayesian import BayesianOptimizationOracle
from keras_tuner.src.tuners.hyperband import HyperbandOracle
from keras_tuner.src.tuners.randomsearch import RandomSearchOracle
from scipy.stats import qmc

from tfday7.core import files
from tfday7.tuning.parameters import Value
from tfday7.tuning.space import Space

OBJECTIVE = "objective"
TRIES = 100  # Points in a row that were all tried before: then the space is exhausted.
HYPERBAND_FACTOR = 3

# keras-tuner 1.4.8 prints a line for every condition that it sends to a worker (stdout may belong to --json), and a
# traceback for every infeasible trial, whose reason is in the record.
conditions.print = lambda *_: None
keras_tuner_config.DEBUG = False


def make_oracle(tuner: str, space: Space, direction: str, trials: int, seed: int, epochs: int) -> Any:
    """Returns the oracle that chooses the trials of a search.

    Args:
        tuner: "quasi_random", "random", "bayesian" or "hyperband".
        space: what is chosen from; its first points come first, but not with hyperband, which begins with short runs.
        direction: "max" or "min".
        trials: how many there may be.
        seed: of the search; 0 and 1 differ too.
        epochs: of a whole training, for hyperband.
    """
    settings = {
        "objective": keras_tuner.Objective(OBJECTIVE, direction),
        "hyperparameters": hyperparameters(space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # keras-tuner takes 0 for "draw one".
        "max_consecutive_failed_trials": trials + 1,  # An infeasible trial says something; it is no reason to stop.
    }
    if tuner == "hyperband":
        return BoundedHyperband(trials, max_epochs=epochs, factor=HYPERBAND_FACTOR, **settings)
    kind = {"quasi_random": QuasiRandom, "random": Random, "bayesian": Bayesian}[tuner]
    return kind(space.first, max_trials=trials, **settings)


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """Returns the space as keras-tuner declares it, what belongs to one optimizer on that condition."""
    declared = keras_tuner.HyperParameters()
    for parameter in space.parameters:
        if not parameter.optimizer:
            _declare(declared, parameter)
    for parameter in space.parameters:
        if parameter.optimizer:
            with declared.conditional_scope("optimizer", [parameter.optimizer]):
                _declare(declared, parameter)
    return declared


def _declare(declared: keras_tuner.HyperParameters, parameter: Any) -> None:
    if parameter.scale == "choice" and isinstance(parameter.range[0], bool):
        declared.Boolean(parameter.key)  # Of a Choice between true and false keras-tuner makes 1 and 0.
        return
    if parameter.scale == "choice":
        declared.Choice(parameter.key, list(parameter.range), ordered=False)
        return
    low, high = parameter.range
    make = declared.Int if parameter.integer else declared.Float
    make(parameter.key, low, high, sampling=parameter.scale)


class _Kept:
    """Writes its state whole or not at all, and goes on with trials that no one finished; mixed into every oracle."""

    def save(self) -> None:
        """Writes the oracle's state; keras-tuner's own way may leave half of it when it is killed."""
        files.write_json(Path(self._get_oracle_fname()), self.get_state())  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        files.write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())  # type: ignore

    def reload(self) -> None:
        """Reads the state back; trials that had begun and not ended when the search was killed begin again, no others.

        keras-tuner writes its state before it takes an ended trial off the list of those in work. It writes a new trial
        before its state: where that does not know of it, the trial is not taken up, and is chosen again.
        """
        super().reload()  # type: ignore[misc]
        known = set(self.start_order)  # type: ignore[attr-defined]
        trials = sorted(self.trials.items(), key=lambda each: int(each[0]))  # type: ignore[has-type]
        self.trials = {name: trial for name, trial in trials if name in known or trial.status != "RUNNING"}
        self._retry_queue = [identifier for identifier, trial in self.trials.items() if trial.status == "RUNNING"]


class _FirstPoints(_Kept):
    """Begins with given points; mixed into an oracle before its own `populate_space`."""

    def __init__(self, first: tuple[Mapping[str, Value], ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.first = [dict(values) for values in first]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial."""
        number = len(self.trials)
        if number < len(self.first):
            return {"status": "RUNNING", "values": self.first[number]}
        return super().populate_space(trial_id)  # type: ignore[misc]


class Random(_FirstPoints, RandomSearchOracle):
    """Random search (Bergstra & Bengio, 2012, JMLR 13)."""


class Bayesian(_FirstPoints, BayesianOptimizationOracle):
    """A Gaussian process proposes what may improve most (Snoek et al., 2012, arXiv:1206.2944).

    Where it looks follows from the seed and the trial's number: keras-tuner does not keep the state of its generator.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial."""
        self._random_state = np.random.RandomState([self.seed, len(self.trials)])
        return super().populate_space(trial_id)


class _Halton(keras_tuner.Oracle):
    """Points of a scrambled Halton sequence, which leave no large holes (Bousquet et al., 2017, arXiv:1706.03200)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._drawn = 0
        self._sequence = qmc.Halton(len(self.hyperparameters.space), scramble=True, seed=self.seed)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values at the next point that was not tried yet."""
        for _ in range(TRIES):
            (point,) = self._sequence.random(1)
            self._drawn += 1
            values = self._values_at(point)
            if self._compute_values_hash(values) not in self._tried_so_far:
                return {"status": "RUNNING", "values": values}
        return {"status": "STOPPED"}

    def _values_at(self, point: Any) -> dict[str, Any]:
        chosen = keras_tuner.HyperParameters()
        for parameter, place in zip(self.hyperparameters.space, point, strict=True):
            chosen.merge([parameter])
            if chosen.is_active(parameter):
                chosen.values[parameter.name] = parameter.prob_to_value(float(place))
        return chosen.values

    def get_state(self) -> dict[str, Any]:
        """Returns the state with the place in the sequence."""
        return {**super().get_state(), "drawn": self._drawn}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where the state was."""
        super().set_state(state)
        self._drawn = state["drawn"]
        self._sequence.reset()
        self._sequence.fast_forward(self._drawn)


class QuasiRandom(_FirstPoints, _Halton):
    """Quasi-random search, as the tuning playbook prefers it to random search for exploring."""


class BoundedHyperband(_Kept, HyperbandOracle):
    """Hyperband (Li et al., 2018, JMLR 18), repeated until the trials are spent.

    Args:
        trials: how many there may be; a training that goes on counts as another one.
        settings: of keras-tuner's own oracle.
    """

    def __init__(self, trials: int, **settings: Any) -> None:
        super().__init__(hyperband_iterations=trials, **settings)
        self.max_trials = trials
