"""Exports to TFLite: a float32 file and a fully quantized int8 file, each verified through LiteRT.

Int8 is post-training quantization (Jacob et al., 2018, arXiv:1712.05877), calibrated on training examples alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset, Problem, pipeline
from tfday7.data.heads import placed
from tfday7.data.lazy import Inputs, chunks, take
from tfday7.exporting.affine import Affine, core_of, equalized
from tfday7.exporting.litert import LiteRTModel
from tfday7.exporting.parity import compare
from tfday7.exporting.records import Artefact, Origin
from tfday7.exporting.writing import finish, remove

KINDS = ("float32", "int8")
CALIBRATION_EXAMPLES = 500
EXTREMES_AMONG = 10_000
TIMEOUT_SECONDS = 1800


class NotQuantizedError(Exception):
    """The converter left floating-point tensors in a file that was to be int8 throughout."""


def export(model: Any, dataset: Dataset, folder: Path, origin: Origin, expected: np.ndarray) -> list[Artefact]:
    """Writes `<name>_float32.tflite` and `<name>_int8.tflite` with their records.

    Args:
        model: a float32 tf_keras model with one input and one output.
        dataset: training examples calibrate, test examples verify.
        folder: where the files go.
        origin: the model's name, its run, and what its outputs are.
        expected: the Keras model's outputs on the test split.

    Returns:
        One artefact a kind; one that could not be made says why.
    """
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        jobs = [_Job(kind, model, dataset, Path(scratch) / kind) for kind in KINDS]
        _run_children([job for job in jobs if not job.failure])  # Side by side: most of the time loads TensorFlow.
        return [job.finish(folder, origin, expected) for job in jobs]


class _Job:
    """One kind on its way from the Keras model to an artefact."""

    def __init__(self, kind: str, model: Any, dataset: Dataset, folder: Path) -> None:
        self.kind = kind
        self.dataset = dataset
        self.folder = folder
        self.output = folder / "model.tflite"
        self.failure = ""
        self.way_in: Affine | None = None
        self.way_out: Affine | None = None
        folder.mkdir()
        try:
            self._prepare(model)
        except (ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
            self.failure = f"the model cannot be saved for conversion ({_first_line(error)})"

    def _prepare(self, model: Any) -> None:
        calibration = None
        if self.kind == "int8":
            chosen = calibration_examples(self.dataset, model)
            model, self.way_in, self.way_out = core_of(model)
            calibration = str(self.folder / "calibration.npy")
            if self.dataset.problem.heads and self.way_out is not None:
                model, self.way_out = equalized(model, self.way_out, self._inputs(chosen))
            np.save(calibration, self._inputs(chosen))
        save_with_fixed_batch(model, self.dataset.problem.input_shape, self.folder / "saved_model")
        request = {
            "saved_model": str(self.folder / "saved_model"),
            "kind": self.kind,
            "calibration": calibration,
            "output": str(self.output),
        }
        (self.folder / "request.json").write_text(json.dumps(request), encoding="utf-8")

    def finish(self, folder: Path, origin: Origin, expected: np.ndarray) -> Artefact:
        """Verifies the converted file and moves it to its folder; an earlier one that it fails to replace goes away."""
        name = f"{origin.name}_{self.kind}"
        path = folder / f"{name}.tflite"
        if not self.failure:
            try:
                return finish(self._verified(name, origin, expected), self.output.read_bytes(), path)
            except (NotQuantizedError, UserError, ValueError, RuntimeError) as error:
                self.failure = _first_line(error)
        remove(path)
        return Artefact(name, "tflite", self.kind, run=origin.run, failure=self.failure)

    def _verified(self, name: str, origin: Origin, expected: np.ndarray) -> Artefact:
        runner = LiteRTModel(self.output)
        if self.kind == "int8" and (islands := runner.float_tensors()):
            raise NotQuantizedError(f"not fully quantized: {', '.join(islands[:5])} stay in floating point")
        outputs = np.concatenate([runner.predict(self._inputs(x)) for x in chunks(self.dataset.test.x)])
        outputs = self.way_out.restore(outputs) if self.way_out else outputs
        problem = self.dataset.problem
        before, after = (end.to_json() if end else None for end in (self.way_in, self.way_out))
        preprocessing = {"preprocessing": self.dataset.preprocessing, "standardization": before}
        vocabulary = {"vocabulary": list(problem.vocabulary)} if problem.vocabulary else {}
        columns = {"columns": problem.encoding.to_json()} if problem.encoding else {}
        return Artefact(
            name,
            "tflite",
            self.kind,
            run=origin.run,
            input={**runner.describe("input"), **preprocessing, **vocabulary, **columns},
            output={
                **runner.describe("output"),
                "task": problem.task,  # Says whether logits take one softmax, or a sigmoid for each label.
                "meaning": origin.meaning,
                "standardization": after,
                **heads_record(problem),
            },
            labels=list(problem.class_names),
            parity=compare(self.kind, problem, expected, outputs, self.dataset.test.y, origin.meaning),
        )

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        return self.way_in.standardize(x) if self.way_in else x


def heads_record(problem: Problem) -> dict[str, Any]:
    """Returns which columns of the outputs are which of several targets: first and last + 1; {} for a single one."""
    if not problem.heads:
        return {}
    return {
        "heads": [
            {"name": head.name, "task": head.task, "columns": [at.start, at.stop], "labels": list(head.class_names)}
            for head, at in placed(problem)
        ]
    }


def save_with_fixed_batch(model: Any, shape: tuple[int, ...], folder: Path) -> None:
    """Writes a SavedModel for batches of one example: with a known shape the converter folds all shape arithmetic.

    Args:
        model: a tf_keras model with one input.
        shape: of one example; the model's own may leave sizes open.
        folder: made here.
    """
    expected = tf.TensorSpec((1, *shape), model.inputs[0].dtype, name="input")
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: {"output": model(x, training=False)}, input_signature=[expected])
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def calibration_examples(dataset: Dataset, model: Any) -> np.ndarray:
    """Returns at most 500 training inputs, the same for every run of this model: int8 files can be made again.

    Up to half of them are those, of 10,000, on which an output is smallest or largest; the others are drawn at random.
    Int8 cuts off what lies outside of the range that it saw, and 500 random examples miss the ends: with them the
    largest difference halves (digits 5.1% -> 2.9%), while the mean one stays as it was within 8%. Where there are
    fewer training examples, validation examples join them: 50 digits alone missed a fifth of the range.
    """
    x = dataset.train.x
    order = np.random.default_rng(derive_seed(0, "calibration")).permutation(len(x))
    candidates = np.sort(order[:EXTREMES_AMONG])
    extreme = candidates[_extremes(model, take(x, candidates))]
    extreme = order[np.isin(order, extreme)][: CALIBRATION_EXAMPLES // 2]
    others = order[~np.isin(order, extreme)][: CALIBRATION_EXAMPLES - len(extreme)]
    chosen = x[np.sort(np.concatenate([extreme, others]))]
    missing = CALIBRATION_EXAMPLES - len(chosen)
    return np.concatenate([chosen, dataset.validation.x[:missing]]) if missing > 0 else chosen


def _extremes(model: Any, x: Inputs) -> np.ndarray:
    """Returns the indices of the examples on which each of the model's outputs is smallest, and largest."""
    done, found, least = 0, np.zeros((), np.int64), np.asarray(np.inf)
    for answers, part in pipeline.predict_in_parts(model, x):
        outputs = answers.reshape(len(part), -1)
        both = np.concatenate([outputs, -outputs], axis=1)  # The largest is the smallest of the negatives.
        lower = both.min(axis=0) < least
        found = np.where(lower, done + both.argmin(axis=0), found)
        least = np.where(lower, both.min(axis=0), least)
        done += len(part)
    return np.unique(found)


def _run_children(jobs: Iterable[_Job]) -> None:
    started = [(job, _start(job.folder)) for job in jobs]
    try:
        for job, child in started:
            _await(job, child)
    finally:
        for _, child in started:
            child.kill()  # Does nothing to one that has ended; none may outlive an interrupted run.


def _await(job: _Job, child: subprocess.Popen[str]) -> None:
    try:
        _, errors = child.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        job.failure = f"the converter did not finish within {TIMEOUT_SECONDS} s"
        return
    if child.returncode != 0 or not job.output.exists():
        job.failure = _reason(child.returncode, errors)


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tfday7.exporting.tflite_child", str(folder / "request.json")]
    package = str(Path(__file__).resolve().parents[2])  # The child finds this very package, installed or not.
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **pipes)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _reason(returncode: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = f": {lines[-1][:500]}" if lines else ""
    ended = f"was killed by signal {-returncode}" if returncode < 0 else f"failed with exit code {returncode}"
    return f"the converter {ended}{said}"
