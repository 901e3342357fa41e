"""Everything a search's folder says, read once and checked for its shape; the counterpart of `records` for a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import FLAGS, RUN, TRIALS, TUNING, RunFolder
from tfday7.reporting.records import count, mapping, mappings, number, string, text_file

ANEW = "the same command of tfday7.tune again, with --overwrite, writes it anew"


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of a search: a trial, or a rerun of the best trial with another seed.

    Attributes:
        number: of the trial, or the seed of the rerun.
        values: what was tuned, by the parameters' keys; empty for a rerun.
        value: of the objective; None when the settings led nowhere.
        reason: why they did, in English; else empty.
        curve: the objective after each epoch, None where it was no finite number.
        epochs, seconds: how long it took; None when that is not known.
    """

    number: int
    values: dict[str, Any]
    value: float | None
    reason: str
    curve: list[float | None]
    epochs: int | None
    seconds: float | None

    def tuned(self, name: str) -> Any:
        """Returns the value of a hyperparameter by its plain name, whichever optimizer owns it; None without one."""
        return next((value for key, value in self.values.items() if plain(key) == name), None)


@dataclasses.dataclass(frozen=True)
class SearchRecords:
    """The record of one search.

    Attributes:
        path: the search's folder.
        record: tuning.json as it is.
        objective: as in the record, for example "val_accuracy".
        maximized: whether the objective is better when it is higher.
        trials: all trials.
        best, compare: parts of the record; `compare` is empty unless it was a bake-off.
        reruns: the best settings again with other seeds.
        flags: flags.txt.
    """

    path: Path
    record: dict[str, Any]
    objective: str
    maximized: bool
    trials: list[Training]
    best: dict[str, Any]
    reruns: list[Training]
    compare: dict[str, Any]
    flags: str = ""

    @property
    def name(self) -> str:
        """The search's name."""
        return self.path.resolve().name

    @property
    def best_number(self) -> int | None:
        """The number of the best trial."""
        return count(self.best.get("trial"))

    @property
    def ranked(self) -> list[Training]:
        """The feasible trials, the best first, the earlier of equals first."""
        feasible = [(trial.value, trial) for trial in self.trials if trial.value is not None]
        sign = -1.0 if self.maximized else 1.0
        return [trial for _, trial in sorted(feasible, key=lambda pair: (sign * pair[0], pair[1].number))]

    @property
    def infeasible(self) -> list[Training]:
        """The trials that led nowhere."""
        return [trial for trial in self.trials if trial.value is None]

    @property
    def failed(self) -> int:
        """With how many other seeds the best settings led nowhere."""
        return sum(rerun.value is None for rerun in self.reruns)

    def listed(self, name: str) -> list[dict[str, Any]]:
        """Returns a list of objects in the record: "space", "widened" or "importance"."""
        return mappings(self.record.get(name), f"{TUNING}: {name}")


def read(folder: RunFolder) -> SearchRecords:
    """Returns what lies in a search's folder.

    Raises:
        UserError: the search has not ended, or its record is damaged.
    """
    path = folder / TUNING
    if not path.exists():
        raise UserError(
            f"{path}: no such file; the search has not ended", "the same command of tfday7.tune again goes on with it"
        )
    record = mapping(files.read_json(path), str(path))
    objective = mapping(record.get("objective"), f"{path}: objective")
    best = mapping(record.get("best"), f"{path}: best")
    trials = [_training(entry, "number", path) for entry in mappings(record.get("trials"), f"{path}: trials")]
    if not any(trial.value is not None for trial in trials) or number(best.get("value")) is None:
        raise UserError(
            f"{path}: not the record of a search; it needs a best trial",
            ANEW,
        )
    return SearchRecords(
        path=folder.path,
        record=record,
        objective=string(objective.get("name")),
        maximized=objective.get("direction") != "min",
        trials=trials,
        best=best,
        reruns=[_training(entry, "seed", path) for entry in mappings(best.get("reruns"), f"{path}: reruns")],
        compare=mapping(record.get("compare"), f"{path}: compare"),
        flags=text_file(folder / FLAGS),
    )


def is_search(folder: RunFolder) -> bool:
    """Returns whether a folder is that of a search, ended or not, and not that of a training."""
    return not (folder / RUN).exists() and ((folder / TUNING).exists() or (folder / TRIALS).is_dir())


def plain(key: str) -> str:
    """Returns the name of a hyperparameter without its optimizer: "learning_rate" of "adam.learning_rate"."""
    return key.rpartition(".")[2]


def key_of(parameter: Mapping[str, Any]) -> str:
    """Returns under which key trials have a parameter's value: "adam.learning_rate" where it is adam's own."""
    owner, name = string(parameter.get("optimizer")), string(parameter.get("name"))
    return f"{owner}.{name}" if owner else name


def curve(values: Any) -> list[float | None]:
    """Returns a list of numbers, None for each that is no finite one; [] for what is no list."""
    return [number(value) for value in values] if isinstance(values, list) else []


def spread(record: Mapping[str, Any]) -> dict[str, float] | None:
    """Returns mean, std, low and high over the seeds; None where they are not all known."""
    found = mapping(record.get("spread"), f"{TUNING}: spread")
    known = {name: value for name in ("mean", "std", "low", "high") if (value := number(found.get(name))) is not None}
    return known if len(known) == 4 else None


def _training(entry: dict[str, Any], named: str, path: Path) -> Training:
    return Training(
        number=count(entry.get(named)) or 0,
        values=mapping(entry.get("values"), f"{path}: values"),
        value=number(entry.get("value")),
        reason=string(entry.get("reason")),
        curve=curve(entry.get("curve")),
        epochs=count(entry.get("epochs")),
        seconds=number(entry.get("seconds")),
    )
