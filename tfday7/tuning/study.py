"""A whole study: the search, a second one beyond a bound where the best setting lies, and the best one's spread.

Everything that has ended lies in the study's folder, so that a study that was killed goes on:

    space.json    trial_*/outcome.json        the search, with keras-tuner's own state
    widened/...                               the same beyond the bound
    reruns/*_SEED.json                        the best setting with other seeds

Importing this module loads Keras 3, through keras-tuner.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfday7.core import files, records
from tfday7.core.errors import GateError, UserError
from tfday7.tuning import findings, trial, workers
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.job import Job
from tfday7.tuning.parameters import Parameter
from tfday7.tuning.search import Trial, finished, search
from tfday7.tuning.space import Space

SEARCH, WIDENED, RERUNS, SPACE = "search", "widened", "reruns", "space.json"


@dataclasses.dataclass
class Progress:
    """Told of what a study does; a study says it in the same order whether it was killed in between or not.

    Attributes:
        trial: called with each trial that ends, and whether it is the best so far.
        say: called with a sentence.
    """

    trial: Callable[[Trial, bool], None] = lambda trial, is_best: None
    say: Callable[[str], None] = lambda sentence: None


@dataclasses.dataclass
class Study:
    """A study under way.

    Args:
        job: what each trial trains.
        space: what trials are drawn from.
        config: how.
        folder: where everything that ends is kept.
        progress: told of what happens.
    """

    job: Job
    space: Space
    config: TuningConfig
    folder: Path
    progress: Progress = dataclasses.field(default_factory=Progress)

    @property
    def direction(self) -> str:
        """Whether the objective is better when it is higher, "max", or lower, "min"."""
        return "min" if self.config.objective == "loss" else "max"

    def run(self) -> dict[str, Any]:
        """Runs what is left of the study and returns its record, which `tuning.json` holds.

        Raises:
            UserError: the folder holds the study of another space.
            GateError: no trial was feasible; the trials are kept.
        """
        found = self._search(self.space, SEARCH, self.config.trials)
        best = findings.best_of(found, self.direction)
        if best is None:
            raise self._nothing(found)
        space = self._widened(best)
        if space is not self.space:
            more = self._search(space, WIDENED, max(1, math.ceil(self.config.trials / 2)), len(found))
            found = found + [dataclasses.replace(each, number=each.number + len(found)) for each in more]
            best = findings.best_of(found, self.direction) or best
        return self._record(found, best, space)

    @staticmethod
    def _nothing(found: list[Trial]) -> UserError | GateError:
        """Returns the error of a search without a feasible trial."""
        reasons = "; ".join(sorted({each.outcome.reason for each in found})[:3])
        if found and all(each.outcome.contradicts for each in found):
            return UserError(
                f"none of {len(found)} trials could begin: {reasons}", "tune other values, or change the flag"
            )
        diverged = any("diverged" in each.outcome.reason for each in found)
        hint = "try lower learning rates, for example --tune=learning_rate=1e-6..1e-3"
        return GateError(
            f"none of {len(found)} trials was feasible: {reasons}",
            hint
            if diverged
            else "give the trials more --epochs, or look at the data: python -m tfday7.train diagnoses it",
        )

    def check_folder(self) -> None:
        """Raises UserError when the folder holds the search of another space; leaves nothing behind."""
        self._check_same_space(self.folder / SEARCH, self.space)

    def _search(self, space: Space, name: str, trials: int, before: int = 0) -> list[Trial]:
        folder = self.folder / name
        self._check_same_space(folder, space)
        files.remove_partials(folder)
        files.write_json(folder / SPACE, [parameter.to_json() for parameter in space.parameters])
        seen = self.ended()

        def on_trial(ended: Trial) -> None:
            numbered = dataclasses.replace(ended, number=ended.number + before)
            seen.append(numbered)
            self.progress.trial(numbered, findings.best_of(seen, self.direction) is numbered)

        seed = self.job.training.seed + (1_000_003 if name == WIDENED else 0)
        if self.config.tuner_workers > 1 or self.config.tuner_address:
            return workers.search(self.job, space, self.config, folder, trials, seed, on_trial, self.progress.say)
        return search(self.job, space, self.config, folder, trials, seed, on_trial)

    def ended(self) -> list[Trial]:
        """Returns the trials of an earlier call, and of an earlier search of this one."""
        found = [each for name in (SEARCH, WIDENED) for each in finished(self.folder / name)]
        for each in found:
            with records.understood(self.folder, "--overwrite starts again"):  # Values of another space.
                self.space.edges(each.values)
        return found

    def _check_same_space(self, folder: Path, space: Space) -> None:
        path, wanted = folder / SPACE, [parameter.to_json() for parameter in space.parameters]
        if path.exists() and files.read_json(path) != wanted:
            raise UserError(
                f"{folder} holds the search of another space",
                "choose a new folder with --run_dir=FOLDER, or replace that search with --overwrite; where no flag has "
                "changed, advised ranges have, with another version of this program",
            )

    def _widened(self, best: Trial) -> Space:
        """Returns the space of the second search; the first one's when there is to be none."""
        path = self.folder / WIDENED / SPACE
        if path.exists():  # Of a study that was stopped here: what was begun is finished, whatever is best now.
            with records.understood(path, "--overwrite starts again"):
                begun = Space(tuple(map(Parameter.from_json, files.read_json(path))))
                if [parameter.key for parameter in begun.parameters] != [each.key for each in self.space.parameters]:
                    raise ValueError("it has other parameters")
                for parameter in begun.parameters:
                    parameter.place(parameter.at(0.5))
                return begun
        most = {"warmup_steps": self._steps(best) / 2}  # A rate that rises for longer hardly gets to fall.
        space = self.space.widened(best.values, most) if self.config.widen else self.space
        if space is not self.space:
            bounds = " and ".join(f"{key} ({side})" for key, side in self.space.edges(best.values).items())
            self.progress.say(f"the best trial lies at the bound of {bounds}; the search goes on beyond it")
        return space

    def _steps(self, ended: Trial) -> int:
        """Returns the optimizer steps of a whole training with a trial's settings."""
        training, folds = self.job.changed(ended.values)[2], self.config.folds
        examples = len(self.job.dataset.train) * (1 - 1 / folds if folds > 1 else 1)
        return math.ceil(examples / training.batch_size) * training.epochs

    def _reruns(self, best: Trial) -> list[dict[str, Any]]:
        """Returns the outcomes of the best settings with other seeds than the search's."""
        done = []
        files.remove_partials(self.folder / RERUNS)
        identity = hashlib.blake2b(json.dumps(best.values, sort_keys=True).encode(), digest_size=8).hexdigest()
        for number in range(1, self.config.reruns + 1):
            seed = self.job.training.seed + number
            path = self.folder / RERUNS / f"{identity}_{seed}.json"
            if not path.exists():
                outcome = trial.run(self.job, best.values, self.config.objective, self.config.folds, seed)
                files.write_json(path, {"seed": seed, **outcome.to_json()})
            ended = records.build(trial.Outcome, files.read_json(path), path, "remove that file: its seed is run again")
            done.append({"seed": seed, **ended.to_json()})
            said = ended.reason if ended.value is None else f"{ended.value:.4f}"
            self.progress.say(f"best setting, seed {seed}: {said}")
        return done

    def _record(self, found: list[Trial], best: Trial, space: Space) -> dict[str, Any]:
        reruns = self._reruns(best)
        values = [rerun["value"] for rerun in reruns if rerun["value"] is not None]
        return {
            **self._question(),
            "widened": [new.to_json() for new, old in _pairs(space, self.space) if new != old],
            "trials": [each.to_json() for each in found],
            "best": {
                "trial": best.number,
                "value": best.outcome.value,
                "values": dict(best.values),
                "flags": self.job.flags(best.values),
                "reruns": reruns,
                "failed": len(reruns) - len(values),
                "spread": findings.spread(values) if values else None,
                "at_bound": _hull(self.space, space).edges(best.values),  # Where both searches meet is no bound.
            },
            "importance": findings.importance(found, _hull(self.space, space)),
            "target": self._target(found),
        }

    def _question(self) -> dict[str, Any]:
        name = trial.objective_name(self.job.dataset, self.config.objective)
        return {
            "objective": {"name": name, "direction": self.direction},
            "tuner": self.config.tuner,
            "trials_asked": self.config.trials,
            "epochs": self.job.training.epochs,
            "folds": self.config.folds,
            "workers": self.config.tuner_workers,
            "seed": self.job.training.seed,
            "space": [parameter.to_json() for parameter in self.space.parameters],
        }

    def _target(self, found: list[Trial]) -> dict[str, Any] | None:
        target = self.config.target_value
        if target is None:
            return None
        return {"value": target, "reached": findings.reached(found, target, self.direction)}


def _pairs(one: Space, other: Space) -> Iterator[tuple[Parameter, Parameter]]:
    return zip(one.parameters, other.parameters, strict=True)


def _hull(one: Space, other: Space) -> Space:
    """Returns the space with ranges that hold the points of both."""

    def joined(first: Parameter, second: Parameter) -> Parameter:
        if first.scale == "choice":
            return first
        ends: Any = (*first.range, *second.range)
        return dataclasses.replace(first, range=(min(ends), max(ends)))

    return Space(tuple(joined(*pair) for pair in _pairs(one, other)))
