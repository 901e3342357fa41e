"""The metric comes from the runtime's own answers on the very test set, or there is a reason why not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarking import made_artefacts

from tfday7 import data
from tfday7.benchmarking.accuracy import Accuracy, Score
from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.figures import Round
from tfday7.benchmarking.measuring import Timed
from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.subjects import Subject, subject
from tfday7.data.config import DataConfig


class Answers:
    """A worker that answers by a function."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.parts: list[int] = []

    def predict(self, inputs: Path, ends: Any) -> np.ndarray:
        x = np.load(inputs)
        self.parts.append(len(x))
        return np.asarray(self.answer(x))


def scored(measured: Subject, scratch: Path, worker: Any, milliseconds: float = 1.0, data_flag: str = "") -> Score:
    accuracy = Accuracy(data_flag, scratch)
    cell = Cell(measured, "litert")
    accuracy.visit(Timed(cell, rounds=[Round([milliseconds], [False])]), worker)
    return accuracy.scores[measured, "litert"]


@pytest.fixture
def model(linear: Path) -> Subject:
    return subject(linear / "linear_float32.tflite")


def changed(model: Subject, **values: Any) -> Subject:
    """Returns an artefact with other fields in its record."""
    assert model.record is not None
    return Subject(model.path, model.name, dataclasses.replace(model.record, **values))


def test_the_score_is_that_of_the_answers_on_the_whole_test_split(model: Subject, table: Path, tmp_path: Path) -> None:
    test = data.load(DataConfig(data=str(table), target="label")).test
    worker = Answers(made_artefacts.logits)
    found = scored(model, tmp_path, worker)
    assert found == Score(made_artefacts.expected_accuracy(table), "accuracy")
    assert 0.7 < found.value < 1.0
    assert sum(worker.parts) == len(test)
    wrong = scored(model, tmp_path, Answers(lambda x: -made_artefacts.logits(x)))
    assert wrong.value == pytest.approx(1.0 - found.value)


def test_slow_models_are_asked_for_little_at_once(model: Subject, tmp_path: Path) -> None:
    worker = Answers(made_artefacts.logits)
    scored(model, tmp_path, worker, milliseconds=1000.0)
    assert max(worker.parts) == 10  # 10 s.
    worker = Answers(made_artefacts.logits)
    scored(model, tmp_path, worker, milliseconds=1e9)
    assert max(worker.parts) == 1


def test_an_artefact_is_scored_once_a_runtime_and_data_are_loaded_once(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda config: loads.append(config) or load(config))
    accuracy, worker = Accuracy("", tmp_path), Answers(made_artefacts.logits)
    for runtime, threads in (("litert", 1), ("litert", 2), ("openvino", 1)):
        accuracy.visit(Timed(Cell(model, runtime, threads), rounds=[Round([1.0], [False])]), worker)
    assert set(accuracy.scores) == {(model, "litert"), (model, "openvino")}
    assert len(worker.parts) == 2
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({}, "its record names no labelled data"),
        ({"data": None}, "its record names no labelled data"),
        ({"data": {"flags": {}}}, "its record names no labelled data"),
        ({"data": {"flags": {"data": "/no/such.csv"}}}, "its data cannot be loaded"),
        ({"data": {"flags": {"data": "digits", "window": "many"}}}, "names data that cannot be"),
        ({"data": {"flags": {"data": "digits"}, "fingerprint": "0" * 16}}, "another fingerprint"),
        ({"data": {"flags": {"data": "digits"}}}, "it gives .2,. for an example; its data asks for .10,."),
    ],
)
def test_what_cannot_be_scored_has_a_reason(model: Subject, tmp_path: Path, recipe: Any, reason: str) -> None:
    found = scored(changed(model, recipe=recipe), tmp_path, Answers(lambda x: np.zeros((len(x), 2))))
    assert (found.value, found.name) == (None, None)
    assert re.search(reason, found.note)


def test_a_file_without_a_record_or_a_worker_that_fails_has_no_score(model: Subject, tmp_path: Path) -> None:
    bare = Subject(model.path, model.name)
    assert "no record beside the file" in scored(bare, tmp_path, Answers(made_artefacts.logits)).note

    def crash(x: np.ndarray) -> None:
        raise CellError("predicting: the runtime crashed with SIGSEGV")

    assert scored(model, tmp_path, Answers(crash)).note == "predicting: the runtime crashed with SIGSEGV"


def test_code_runs_only_when_the_user_names_it_and_never_because_a_record_does(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "traces").mkdir()
    source = (
        "import pathlib, numpy as np\n"
        f"def load():\n    pathlib.Path({str(tmp_path / 'traces' / 'ran')!r}).touch()\n"
        "    x = np.random.default_rng(0).normal(size=(100, 3)).astype('float32')\n"
        "    return x, (x[:, 0] > x[:, 1]).astype('int64')\n"
    )
    (tmp_path / "code_of_a_stranger.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    name = "python:code_of_a_stranger:load"
    measured = changed(model, recipe={"data": {"flags": {"data": name}}})
    found = scored(measured, tmp_path, Answers(made_artefacts.logits))
    assert found.note == f"its data is code, {name}, which runs only when it is given as --data"
    assert not (tmp_path / "traces" / "ran").exists()
    found = scored(measured, tmp_path, Answers(made_artefacts.logits), data_flag=name)
    assert (tmp_path / "traces" / "ran").exists()
    assert found.value is not None
    assert found.value > 0.8


def test_other_data_can_be_given(model: Subject, table: Path, tmp_path: Path) -> None:
    measured = changed(model, recipe={"data": {"flags": {"data": "digits", "target": "label"}, "fingerprint": "0"}})
    found = scored(measured, tmp_path, Answers(made_artefacts.logits), data_flag=str(table))
    assert found.value == made_artefacts.expected_accuracy(table)


def test_a_metric_that_is_not_finite_is_none(model: Subject, tmp_path: Path) -> None:
    lines = ["a,b,c,y", *(f"{i},{i * i % 7},{i % 3},{i / 3}" for i in range(60))]
    (tmp_path / "line.csv").write_text("\n".join(lines))
    flags = {"data": str(tmp_path / "line.csv"), "target": "y", "task": "regression"}
    measured = changed(model, recipe={"data": {"flags": flags}}, output={"task": "regression", "meaning": "values"})
    right = scored(measured, tmp_path, Answers(lambda x: x[:, :1] / 3))
    assert right.value == pytest.approx(1.0, abs=1e-5)
    wrong = scored(measured, tmp_path, Answers(lambda x: np.full((len(x), 1), np.nan, np.float32)))
    assert wrong == Score(note="the r2_score is not finite")
