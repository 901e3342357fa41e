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

from tfday7.core.frameworks import keras, tf
from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset
from tfday7.data.lazy import chunks
from tfday7.exporting.litert import LiteRTModel
from tfday7.exporting.parity import compare
from tfday7.exporting.records import Artefact
from tfday7.exporting.writing import finish

KINDS = ("float32", "int8")
CALIBRATION_EXAMPLES = 500
TIMEOUT_SECONDS = 1800


def export(model: Any, dataset: Dataset, folder: Path, name: str, meaning: str, expected: np.ndarray) -> list[Artefact]:
    """Writes `<name>_float32.tflite` and `<name>_int8.tflite` with their records.

    Args:
        model: a float32 tf_keras model with one input and one output.
        dataset: training examples calibrate, test examples verify.
        folder: where the files go.
        name: the model's name.
        meaning: what the outputs are: "logits", "probabilities" or "values".
        expected: the Keras model's outputs on the test split.

    Returns:
        One artefact a kind; one that could not be made says why.
    """
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        jobs = [_Job(kind, model, dataset, Path(scratch) / kind) for kind in KINDS]
        _run_children(jobs)  # One child a kind, side by side: most of their time is loading TensorFlow.
        return [job.finish(folder, name, meaning, expected) for job in jobs]


def quantizable(model: Any) -> tuple[Any, dict[str, list[float]]]:
    """Returns the model without a leading Normalization layer, and that layer's mean and deviation.

    One int8 scale serves a whole input tensor: raw columns of different size would lose all but the largest. So the
    int8 file takes standardized values, and its record says how to make them. Other models come back as they are.
    """
    first = model.layers[1]
    if not isinstance(first, keras.layers.Normalization) or len(first.inbound_nodes) != 1:
        return model, {}
    mean, deviation = np.ravel(first.mean), np.sqrt(np.ravel(first.variance))
    rest = keras.Model(first.output, model.output, name=model.name)
    return rest, {"mean": mean.tolist(), "std": deviation.tolist()}


class _Job:
    """One kind on its way from the Keras model to an artefact."""

    def __init__(self, kind: str, model: Any, dataset: Dataset, folder: Path) -> None:
        self.kind = kind
        self.dataset = dataset
        self.folder = folder
        self.output = folder / "model.tflite"
        self.failure = ""
        self.standardization: dict[str, list[float]] = {}
        if kind == "int8":
            model, self.standardization = quantizable(model)
        folder.mkdir()
        save_with_fixed_batch(model, folder / "saved_model")
        calibration = None
        if kind == "int8":
            calibration = str(folder / "calibration.npy")
            np.save(calibration, self._standardized(calibration_examples(dataset)))
        request = {
            "saved_model": str(folder / "saved_model"),
            "kind": kind,
            "calibration": calibration,
            "output": str(self.output),
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")

    def finish(self, folder: Path, name: str, meaning: str, expected: np.ndarray) -> Artefact:
        """Verifies the converted file and moves it to its folder."""
        artefact_name = f"{name}_{self.kind}"
        if self.failure:
            return Artefact(artefact_name, "tflite", self.kind, failure=self.failure)
        runner = LiteRTModel(self.output)
        if self.kind == "int8" and (islands := runner.float_tensors()):
            failure = f"not fully quantized: {', '.join(islands[:5])} stay in floating point"
            return Artefact(artefact_name, "tflite", self.kind, failure=failure)
        outputs = np.concatenate([runner.predict(self._standardized(x)) for x in chunks(self.dataset.test.x)])
        problem = self.dataset.problem
        return finish(
            Artefact(
                artefact_name,
                "tflite",
                self.kind,
                input=self._describe_input(runner),
                output={**runner.describe("output"), "meaning": meaning},
                labels=list(problem.class_names),
                parity=compare(self.kind, problem, expected, outputs, self.dataset.test.y),
            ),
            self.output.read_bytes(),
            folder / f"{artefact_name}.tflite",
        )

    def _standardized(self, x: np.ndarray) -> np.ndarray:
        if not self.standardization:
            return x
        mean, std = (np.asarray(self.standardization[key], np.float32) for key in ("mean", "std"))
        return (x - mean) / std

    def _describe_input(self, runner: LiteRTModel) -> dict[str, Any]:
        described = {**runner.describe("input"), "preprocessing": self.dataset.preprocessing}
        return {**described, "standardization": self.standardization or None}


def save_with_fixed_batch(model: Any, folder: Path) -> None:
    """Writes a SavedModel for batches of one example: with a known shape the converter folds all shape arithmetic."""
    expected = tf.TensorSpec((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype, name="input")
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: {"output": model(x, training=False)}, input_signature=[expected])
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def calibration_examples(dataset: Dataset) -> np.ndarray:
    """Returns at most 500 training inputs, the same for every run on this data: int8 files can be made again."""
    x = dataset.train.x
    generator = np.random.default_rng(derive_seed(0, "calibration"))
    return x[np.sort(generator.permutation(len(x))[:CALIBRATION_EXAMPLES])]


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


def _reason(returncode: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = f": {lines[-1][:500]}" if lines else ""
    ended = f"was killed by signal {-returncode}" if returncode < 0 else f"failed with exit code {returncode}"
    return f"the converter {ended}{said}"
