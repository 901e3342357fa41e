"""A search: keras-tuner chooses the trials, `trial` runs them, and a folder keeps every one that has ended.

A search that was killed goes on where it was: finished trials are read back, the one in work starts again. Several
processes share one search through keras-tuner's chief. Importing this module loads Keras 3, through keras-tuner.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.src.engine.base_tuner import BaseTuner

from tfday7.core import files, records
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.run_folder import RunFolder
from tfday7.tuning import trial as trials
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.job import Job
from tfday7.tuning.oracles import OBJECTIVE, make_oracle
from tfday7.tuning.parameters import Value
from tfday7.tuning.space import Space

OUTCOME = "outcome.json"
RUN = "run"  # Of a trial that may go on later: its checkpoints.
OURS = "tuner/"  # keras-tuner's own values, by which hyperband says how long a trial trains.


@dataclasses.dataclass(frozen=True)
class _Begun:
    """As much of a trial's record as was known when it began; see `Trial`."""

    number: int
    values: dict[str, Value]
    worker: str


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: in the order in which trials began, from 1.
        values: its settings, by `Parameter.key`.
        outcome: how it ended.
        worker: the process that ran it.
    """

    number: int
    values: Mapping[str, Value]
    outcome: trials.Outcome
    worker: str = "tuner0"

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {"number": self.number, "values": dict(self.values), "worker": self.worker, **self.outcome.to_json()}

    @classmethod
    def from_json(cls, record: Any, where: Path) -> Trial:
        """Returns the trial of a record. Raises UserError naming the file where it is none."""
        again = "--overwrite starts again"
        outcome = records.build(trials.Outcome, record, where, again)
        begun = records.build(_Begun, record, where, again)
        return cls(begun.number, begun.values, outcome, begun.worker)


def search(
    job: Job,
    space: Space,
    config: TuningConfig,
    folder: Path,
    trials_to_spend: int,
    seed: int,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Runs the trials of a search, or what is left of them, and returns all that have ended, in order of their numbers.

    Args:
        job: what each trial trains.
        space: what the trials are drawn from.
        config: how.
        folder: where keras-tuner keeps its state and each trial its outcome.
        trials_to_spend: how many there may be.
        seed: of the choice of trials.
        on_trial: told of each trial that ends in this process.

    Raises:
        UserError: the folder holds a search that cannot be read.
    """
    tuner = open_search(job, space, config, folder, trials_to_spend, seed, on_trial)
    try:
        tuner.search()
    except _BugError as bug:
        raise bug.__cause__ or bug from None
    return finished(folder)


def open_search(
    job: Job,
    space: Space,
    config: TuningConfig,
    folder: Path,
    trials_to_spend: int,
    seed: int,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Any:
    """Returns keras-tuner's tuner for a search, with what the folder holds of it already; arguments as of `search`."""
    direction = "min" if config.objective == "loss" else "max"
    oracle = make_oracle(config.tuner, space, direction, trials_to_spend, seed, job.training.epochs)
    oracle.verbose = 0
    for path in (*folder.glob("*.json"), *folder.glob("trial_*/*.json")):  # keras-tuner would wait for a pipe.
        files.check_plain(path, files.MOST_JSON_BYTES)
    with contextlib.redirect_stdout(io.StringIO()):  # It says where it reads from; stdout may belong to --json.
        try:
            tuner = _Tuner(oracle, job, config, folder, on_trial)
            if not all(isinstance(order, list) for order in (oracle.start_order, oracle.end_order)):
                raise TypeError("the order of its trials is no list")
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, tf.errors.OpError) as error:
            raise UserError(f"{folder}: its search cannot be read ({error})", "--overwrite starts again") from error
        return tuner


def finished(folder: Path) -> list[Trial]:
    """Returns the trials of a search that have ended, in order of their numbers."""
    found = [Trial.from_json(files.read_json(path), path) for path in folder.glob(f"trial_*/{OUTCOME}")]
    return sorted(found, key=lambda trial: trial.number)


class _BugError(keras_tuner.errors.FatalError):
    """Carries an error that is not the trial's fault through keras-tuner."""


class _Tuner(BaseTuner):
    """keras-tuner's loop around our own trials: `run_trial` is its documented hook."""

    def __init__(
        self, oracle: Any, job: Job, config: TuningConfig, folder: Path, on_trial: Callable[[Trial], None]
    ) -> None:
        self.job = job
        self.config = config
        self.on_trial = on_trial
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)
        self.folder = folder

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains one trial. Raises FailedTrialError when its settings are infeasible: keras-tuner then goes on."""
        folder = self.folder / f"trial_{trial.trial_id}"
        files.remove_partials(folder)  # The chief writes nothing there while the trial is at work.
        values = dict(trial.hyperparameters.values)
        ours = {key: values.pop(key) for key in list(values) if key.startswith(OURS)}
        before = self._ended(folder / OUTCOME, values)
        if before is not None:
            return self._answer(before)
        run = self._run_folder(folder, ours)
        span = {"until": ours.get("tuner/epochs"), "after": ours.get("tuner/initial_epoch", 0)}
        try:
            outcome = trials.run(self.job, values, self.config.objective, self.config.folds, folder=run, **span)
        except Exception as error:  # keras-tuner would take our bug for a bad trial.
            raise _BugError(str(error)) from error
        done = Trial(int(trial.trial_id) + 1, values, outcome, self.tuner_id)
        files.write_json(folder / OUTCOME, done.to_json())
        self.on_trial(done)
        return self._answer(done)

    def save(self) -> None:
        """Writes the oracle's state and its own; keras-tuner's way leaves an empty file when it is killed meanwhile."""
        if not self._is_worker():
            self.oracle.save()
        files.write_json(Path(self._get_tuner_fname()), self.get_state())

    @staticmethod
    def _ended(path: Path, values: Mapping[str, Value]) -> Trial | None:
        """Returns a trial that had ended when the search was killed, before keras-tuner could note it."""
        if not path.exists():
            return None
        ended = Trial.from_json(files.read_json(path), path)
        return ended if dict(ended.values) == values else None

    @staticmethod
    def _answer(ended: Trial) -> dict[str, float]:
        if ended.outcome.value is None:
            raise keras_tuner.errors.FailedTrialError(ended.outcome.reason)
        return {OBJECTIVE: ended.outcome.value}

    def _run_folder(self, folder: Path, ours: Mapping[str, Any]) -> RunFolder | None:
        """Returns where a trial that may go on keeps its checkpoints; one that goes on begins with its forerunner's."""
        if "tuner/epochs" not in ours:
            return None
        run = folder / RUN
        forerunner = ours.get("tuner/trial_id")
        if forerunner is not None and not run.exists():
            with files.replacing(run) as made:
                source = self.folder / f"trial_{forerunner}" / RUN
                shutil.copytree(source, made, ignore=shutil.ignore_patterns(files.PARTIAL + "*"))
        run.mkdir(parents=True, exist_ok=True)
        files.remove_partials(run)
        return RunFolder(run)
