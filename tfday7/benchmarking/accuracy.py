"""The metric of an artefact on its test set, computed by the very runtime that is measured.

The record beside an artefact says which data it was made with. They are loaded once, and their fingerprint must be the
recorded one: of other data, what is split off as a test set may have been trained on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.subjects import Subject
from tfday7.core.errors import UserError
from tfday7.core.settings import from_text
from tfday7.core.user_code import PREFIX
from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset, Problem
from tfday7.data.lazy import Inputs
from tfday7.data.scoring import score
from tfday7.exporting.records import Artefact

PART_SECONDS, PART_EXAMPLES, PART_BYTES = 10.0, 1024, 2**26  # The most that a worker is asked for at once.


class _UnknownError(Exception):
    """There is no metric, for a reason in words."""


@dataclasses.dataclass(frozen=True)
class Score:
    """A metric on the test set, or why there is none.

    Attributes:
        value, name: None where there is none.
        note: the reason then.
    """

    value: float | None = None
    name: str | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns what goes into a row."""
        return {"metric": self.value, "metric_name": self.name, "metric_note": self.note}


class Accuracy:
    """Scores each artefact once a runtime.

    Args:
        data: instead of the `--data` that records name; empty for theirs.
        scratch: a folder for what goes to the workers.
        say: told of progress.
    """

    def __init__(self, data: str, scratch: Path, say: Callable[..., Any] = lambda key, **values: None) -> None:
        self.data, self.scratch, self.say = data, scratch, say
        self.scores: dict[tuple[Subject, str], Score] = {}
        self._loaded: dict[str, Dataset | UserError] = {}

    def visit(self, timed: Any, worker: Any) -> None:
        """Scores a cell that was measured, unless its artefact was in this runtime already; see `measuring.measure`."""
        cell = timed.cell
        if (cell.subject, cell.runtime) in self.scores:
            return
        per_example_ms = min(min(each.ms) for each in timed.rounds) / cell.batch_size
        try:
            found = self._score(cell.subject.record, worker, cell, per_example_ms)
        except (_UnknownError, CellError) as error:
            found = Score(note=str(error))
        self.scores[cell.subject, cell.runtime] = found

    def _score(self, record: Artefact | None, worker: Any, cell: Any, per_example_ms: float) -> Score:
        if record is None:
            raise _UnknownError("there is no record beside the file that says what it was made of")
        dataset = self._dataset(record)
        test, problem = dataset.test, dataset.problem
        self.say("scoring", file=cell.subject.path.name, runtime=cell.runtime, examples=len(test))
        ends = record.input, record.output
        file = self.scratch / "part.npy"
        answers = []
        for part in _parts(test.x, per_example_ms):
            np.save(file, part, allow_pickle=False)
            answers.append(worker.predict(file, ends))
        outputs = np.concatenate(answers)
        _check_outputs(problem, outputs)
        value = score(problem, outputs, test.y, str(record.output.get("meaning", "")))
        if not math.isfinite(value):
            raise _UnknownError(f"the {problem.metric} is not finite")
        return Score(value, problem.metric)

    def _dataset(self, record: Artefact) -> Dataset:
        source = record.recipe.get("data")
        flags = source.get("flags") if isinstance(source, Mapping) else None
        if not isinstance(source, Mapping) or not isinstance(flags, Mapping) or not (flags or self.data):
            raise _UnknownError("its record names no labelled data")
        given = {str(name): str(value) for name, value in flags.items()}
        config = self._config(given, record)
        key = repr(config)
        if key not in self._loaded:
            self._loaded[key] = _load(config)
        found = self._loaded[key]
        if isinstance(found, UserError):
            raise _UnknownError(f"its data cannot be loaded ({found.message})")
        if not self.data and source.get("fingerprint") not in (None, found.fingerprint):
            raise _UnknownError(f"{config.data} is not what it was made with: another fingerprint, {found.fingerprint}")
        return found

    def _config(self, flags: dict[str, str], record: Artefact) -> DataConfig:
        if self.data:
            flags["data"] = self.data
        elif flags.get("data", "").startswith(PREFIX):
            raise _UnknownError(f"its data is code, {flags['data']}, which runs only when it is given as --data")
        if flags.get("task", "auto") == "auto" and record.output.get("task") == "reconstruction":
            flags["task"] = "reconstruction"  # Its model implied that.
        try:
            return from_text(DataConfig, flags)
        except UserError as error:
            raise _UnknownError(f"its record names data that cannot be ({error.message})") from error


def _load(config: DataConfig) -> Dataset | UserError:
    from tfday7 import data

    try:
        return data.load(config)
    except UserError as error:
        return error


def _parts(x: Inputs, per_example_ms: float) -> Iterator[np.ndarray]:
    fitting = int(PART_SECONDS * 1000.0 / max(per_example_ms, 1e-6))
    size = max(1, min(fitting, PART_EXAMPLES, PART_BYTES // max(1, x[:1].nbytes)))
    for start in range(0, len(x), size):
        yield x[start : start + size]


def _check_outputs(problem: Problem, outputs: np.ndarray) -> None:
    expected = problem.input_shape if problem.task == "reconstruction" else (problem.outputs,)
    if outputs.shape[1:] != expected:
        raise _UnknownError(f"it gives {outputs.shape[1:]} for an example; its data asks for {expected}")
