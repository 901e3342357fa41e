"""Does the int8 file of a model that was trained with rounding compute what that model computes, for every family?

    python benchmarks/qat_zoo.py                        # all that is not in the record yet
    python benchmarks/qat_zoo.py resnet8 transformer    # some, again

Each model is trained for a few epochs on real data, saved and opened again, the step "qat" trains it with rounding for
one more, and the export writes the int8 file. Recorded are: the largest difference of file and model on the test split,
in steps of the file's output scale and relative to the largest output; the share of decisions that agree; the share of
all multiply-accumulates that the file computes in int8; operators that do not; and layers that were left alone, each
with its reason. Besides the families of `tfday7.models` there are a model within a model, a Keras 3 model with squeeze-
and-excite, Conv1D and LayerNormalization, and MobileNetV3Small of keras.applications with random weights. Each model
has a process of its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import shrink_zoo

from tfday7 import models
from tfday7.benchmarking.acceleration.macs import macs_of
from tfday7.benchmarking.acceleration.operators import Operator, operators
from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras, keras3
from tfday7.data import Dataset, loading
from tfday7.data.config import DataConfig
from tfday7.data.lazy import take
from tfday7.data.source import Raw
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.records import Artefact, Origin
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig

RESULTS = Path(__file__).parent / "results" / "qat_zoo.json"
TRAINED, TESTED = 2000, 400  # Most examples of a split.
EPOCHS, QAT_EPOCHS = 3, 1
RATE = 2e-3
ALLOWED_MACS = 0.95  # Share in int8, at least.
Made = tuple[Any, Dataset]


def named(data: str, task: str = "auto") -> Dataset:
    """Returns the first examples of a data set."""
    whole = loading.load(DataConfig(data=data, task=task))
    parts = {}
    for part, most in (("train", TRAINED), ("validation", TESTED), ("test", TESTED)):
        examples = getattr(whole, part)
        first = np.arange(min(most, len(examples)))
        parts[part] = dataclasses.replace(examples, x=take(examples.x, first), y=take(examples.y, first))
    return dataclasses.replace(whole, **parts)


def as_series() -> Dataset:
    """Returns the digits read row by row: series of 8 steps with 8 channels."""
    source = loading.load(DataConfig(data="digits"))
    parts = [(part.x[:][..., 0], np.asarray(part.y[:])) for part in (source.train, source.validation, source.test)]
    return loading.prepare(Raw(parts[0][0], parts[0][1], validation=parts[1], test=parts[2]), "digit_rows")


def family(name: str, data: Callable[[], Dataset], **size: int) -> Callable[[], Made]:
    """Returns what makes a model of a family."""

    def make() -> Made:
        dataset = data()
        return building.build(ModelConfig(model=name, **size), dataset.problem), dataset

    return make


def nested() -> Made:
    """Returns a model in which another one is called twice, with a third inside."""
    dataset, layers = named("digits"), keras.layers
    block_input = keras.Input((8, 8, 16))
    x = layers.SeparableConv2D(16, 3, padding="same", name="apart")(block_input)
    x = keras.Sequential([layers.BatchNormalization(name="norm"), layers.ReLU(name="relu")], name="after")(x)
    block = keras.Model(block_input, layers.Add(name="add")([x, block_input]), name="block")
    inputs = keras.Input(dataset.problem.input_shape)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(inputs)
    x = layers.GlobalAveragePooling2D(name="average")(block(block(x)))
    return keras.Model(inputs, layers.Dense(dataset.problem.outputs, name="logits")(x), name="nested"), dataset


def keras3_mixed() -> Made:
    """Returns a Keras 3 model with Conv1D, LayerNormalization and squeeze-and-excite."""
    dataset, layers = as_series(), keras3.layers
    inputs = keras3.Input(dataset.problem.input_shape)
    x = layers.LayerNormalization(name="norm")(layers.Conv1D(16, 3, padding="same", name="conv")(inputs))
    x = layers.ReLU(name="relu")(x)
    gate = layers.Dense(4, activation="relu", name="squeeze")(layers.GlobalAveragePooling1D(keepdims=True)(x))
    x = layers.Multiply(name="scaled")([x, layers.Dense(16, activation="sigmoid", name="excite")(gate)])
    x = layers.Dense(dataset.problem.outputs, name="logits")(layers.GlobalAveragePooling1D(name="average")(x))
    return models.load(keras3.Model(inputs, x, name="keras3_mixed")), dataset


def mobilenet_v3() -> Made:
    """Returns MobileNetV3Small with random weights, on random images of 32 pixels.

    As Keras makes it, its activations shrink from layer to layer, and its outputs are 1e-11.
    """
    generator = np.random.default_rng(0)
    y = np.arange(300) % 4
    x = generator.uniform(0, 255, (300, 32, 32, 3)) * (0.4 + 0.2 * y[:, np.newaxis, np.newaxis, np.newaxis])
    dataset = loading.prepare(Raw(x.astype(np.float32), y), "random_images")
    settings = {"classes": 4, "classifier_activation": None}
    model = keras.applications.MobileNetV3Small(input_shape=(32, 32, 3), weights=None, **settings)
    shrink_zoo.randomize(model)
    return model, dataset


CASES: dict[str, Callable[[], Made]] = {
    "linear": family("linear", lambda: named("digits")),
    "mlp": family("mlp", lambda: named("digits"), width=32),
    "cnn": family("cnn", lambda: named("fashion_mnist"), width=8),
    "resnet8": family("resnet8", lambda: named("fashion_mnist"), width=16),
    "ds_cnn": family("ds_cnn", lambda: named("fashion_mnist"), width=16),
    "mobilenet_v2": family("mobilenet_v2", lambda: named("fashion_mnist"), width=8, depth=4),
    "autoencoder": family("autoencoder", lambda: named("digits", "reconstruction"), width=64, depth=2),
    "transformer": family("transformer", lambda: named("stdlib_text"), width=32, depth=1),
    "lstm": family("lstm", as_series, width=16),
    "gru": family("gru", as_series, width=16),
    "nested": nested,
    "keras3_mixed": keras3_mixed,
    "MobileNetV3Small": mobilenet_v3,
}
UNTRAINED = ("MobileNetV3Small",)


def row(name: str) -> dict[str, Any]:
    """Returns what is recorded of one model."""
    keras.utils.set_random_seed(0)
    model, dataset = CASES[name]()
    optimizer = OptimizerConfig(optimizer="adam", learning_rate=RATE)
    training = TrainingConfig(epochs=EPOCHS, batch_size=32)
    if name not in UNTRAINED:
        fitting.fit(model, dataset, optimizer, training)
    model = reopened(model)
    work = Work(model, model, dataset, optimizer, training)
    technique = TECHNIQUES.get("qat")
    epochs = 0 if name in UNTRAINED else QAT_EPOCHS
    step = technique.apply(work, read_settings(technique, {"epochs": epochs}))
    with tempfile.TemporaryDirectory() as folder:
        artefact = exported(work.model, dataset, Path(folder))
        if artefact.failure or artefact.path is None:
            return {"failure": artefact.failure or "no file", "left": left(work)}
        summary = tflite_file.read(Path(folder) / Path(artefact.path).name)
    return {
        "failure": "",
        "ranges": step["ranges"],
        **figures(artefact, summary),
        **in_int8(summary),
        "left": left(work),
    }


def reopened(model: Any) -> Any:
    """Returns a model as a command finds it: from its file, with Keras 3's operations for TensorFlow's functions."""
    with tempfile.TemporaryDirectory() as folder:
        models.save(model, Path(folder) / "model.keras")
        return models.load(Path(folder) / "model.keras")


def exported(model: Any, dataset: Dataset, folder: Path) -> Artefact:
    """Returns the int8 file's record; its outputs have been compared with the model's."""
    wanted = [("tflite", "int8")]
    (artefact,) = exporting.export(model, dataset, wanted, folder, Origin("qat", "", "logits"), bisect=False)
    return artefact


def figures(artefact: Artefact, summary: tflite_file.Summary) -> dict[str, Any]:
    """Returns how file and model with fake quantization agree."""
    parity, (output,) = artefact.parity, summary.outputs
    if parity is None or parity.largest_difference is None or parity.mean_difference is None or not output.scale:
        return {"failure": "not compared"}
    standardization = (artefact.output or {}).get("standardization")
    # Behind the file its outputs are multiplied, and so are their steps; the smallest factor gives the most steps.
    step = output.scale * (float(np.min(standardization["std"])) if standardization else 1.0)
    return {
        "largest_difference_steps": round(parity.largest_difference / step, 3),
        "mean_difference_steps": round(parity.mean_difference / step, 4),
        "relative_difference": parity.relative_difference,
        "agreement": parity.agreement,
        "keras_metric": parity.keras_metric,
        "artefact_metric": parity.artefact_metric,
        "examples": parity.examples,
        "size_bytes": artefact.size_bytes,
        "failures": parity.failures,
    }


def in_int8(summary: tflite_file.Summary) -> dict[str, Any]:
    """Returns the share of the multiply-accumulates in int8, and which operators compute in floating point."""
    counted = [(each, macs_of(each) or 0) for each in operators(summary)]
    total = sum(count for _, count in counted)
    done = sum(count for each, count in counted if is_int8(each))
    return {
        "macs": total,
        "int8_macs_share": round(done / total, 4) if total else None,
        "float_operators": sorted({each.op for each, _ in counted if any(t.is_floating for t in each.outputs)}),
    }


def is_int8(operator: Operator) -> bool:
    """Returns whether an operator's result, and every matrix it multiplies, is int8."""
    given = [tensor for tensor in operator.inputs if tensor is not None and tensor.elements > 0]
    return all(tensor.dtype == "int8" for tensor in operator.outputs) and not any(t.is_floating for t in given)


def left(work: Work) -> list[dict[str, str]]:
    """Returns the layers that were left alone, with the reasons."""
    return [{"layer": each.layer, "reason": each.reason} for each in work.skipped]


def in_own_process(name: str) -> dict[str, Any]:
    """Returns a model's row; one whose process dies says so."""
    called = [sys.executable, __file__, "--one", name]
    ended = subprocess.run(called, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"failure": f"its process ended with {ended.returncode}", "left": []}


def show(name: str, found: dict[str, Any]) -> None:
    """Prints a line for one model, and one for each layer that was left alone."""
    cells = [f"{name:18}"]
    for key, form in (("largest_difference_steps", "7.2f"), ("relative_difference", "8.4f"), ("agreement", "7.3f")):
        value = found.get(key)
        cells.append(f"{value:{form}}" if value is not None else f"{'?':>7}")
    share = found.get("int8_macs_share")
    cells.append(f"{share:7.1%}" if share is not None else f"{'?':>7}")
    print(*cells, found["failure"], "; ".join(found.get("failures", [])), flush=True)
    for each in found["left"]:
        print(f"{'':18} {each['layer']}: {each['reason']}", flush=True)


def passes(found: dict[str, Any]) -> bool:
    """Returns whether a file gives its model's answers and computes in int8."""
    share = found.get("int8_macs_share")
    return not found["failure"] and not found.get("failures") and share is not None and share >= ALLOWED_MACS


def main(arguments: list[str]) -> int:
    """Measures what is named, or what is missing, and brings the record up to date."""
    if arguments[:1] == ["--one"]:
        try:
            found = row(arguments[1])
        except (UserError, ValueError, TypeError, RuntimeError, KeyError) as error:
            traceback.print_exc()
            found = {"failure": f"{type(error).__name__}: {str(error)[:300]}", "left": []}
        print(json.dumps(found), flush=True)
        return 0
    unknown = set(arguments) - set(CASES)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    record = read_json(RESULTS) if RESULTS.exists() else {"models": {}}
    record |= {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/qat_zoo.py",
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }
    print(f"{'':18} {'steps':>7} {'relative':>8} {'agree':>7} {'int8':>7}", flush=True)
    for name in arguments or [name for name in CASES if name not in record["models"]]:
        record["models"][name] = in_own_process(name)
        write_json(RESULTS, record)
        show(name, record["models"][name])
    return 0 if all(passes(found) for found in record["models"].values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
