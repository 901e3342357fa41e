"""Small artefacts as an export leaves them: a `.tflite` file, its record, its test vectors. Weights are random."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.frameworks import keras, tf
from tfday7.exporting import vectors
from tfday7.exporting.records import Artefact, Parity, read_artefact, record_path
from tfday7.exporting.vectors import Vectors
from tfday7.runtimes.litert import LiteRT

EXAMPLES = 24


@dataclasses.dataclass(frozen=True)
class Made:
    """What an artefact is made of.

    Attributes:
        model: takes raw values after `divisor` and `before`; `after` comes behind it.
        raw: [n, ...].
        task, meaning, labels: as in the record.
        divisor, before, after: what is done outside of the file.
        more: further fields of the record's input or output, by side.
    """

    model: Any
    raw: np.ndarray
    task: str = "classification"
    meaning: str = "logits"
    labels: tuple[str, ...] = ("cat", "dog", "bird")
    divisor: float = 1.0
    before: tuple[list[float], list[float]] | None = None
    after: tuple[list[float], list[float]] | None = None
    more: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def prepared(self) -> np.ndarray:
        """Returns what the model takes."""
        if self.raw.dtype == np.int32:
            return self.raw
        mean, std = self.before or ([0.0], [1.0])
        return ((self.raw / np.float32(self.divisor) - np.array(mean)) / np.array(std)).astype(np.float32)

    def answers(self) -> np.ndarray:
        """Returns the Keras model's answers."""
        mean, std = self.after or ([0.0], [1.0])
        outputs = np.asarray(self.model(self.prepared(), training=False), np.float64)
        return (outputs * np.array(std) + np.array(mean)).astype(np.float32)


def cnn() -> Made:
    """Images of 8 x 8 bytes, divided by 255."""
    layers = keras.layers
    stack = [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    raw = np.floor(_random().uniform(0, 256, (EXAMPLES, 8, 8, 1))).astype(np.float32)
    return Made(keras.Sequential([*stack, layers.Dense(3)]), raw, divisor=255.0)


def columns() -> Made:
    """A regression on two columns of very different size, of two targets far from zero."""
    stack = [keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)]
    mean, std = [1000000.1, -3.3], [200000.3, 0.25]
    raw = (_random().normal(size=(EXAMPLES, 2)) * std + mean).astype(np.float32)
    after = ([5000.1, 0.7], [9.3, 0.51])
    return Made(keras.Sequential(stack), raw, "regression", "values", (), before=(mean, std), after=after)


def lstm() -> Made:
    """A series through an LSTM, which TFLite fuses into one operator that keeps state."""
    stack = [keras.Input((6, 3)), keras.layers.LSTM(5), keras.layers.Dense(3)]
    return Made(keras.Sequential(stack), _random().normal(size=(EXAMPLES, 6, 3)).astype(np.float32))


def tokens() -> Made:
    """Texts as five token ids each."""
    words = ["", "[UNK]", *(f"word{i}" for i in range(18))]
    layers = keras.layers
    stack = [keras.Input((5,), dtype="int32"), layers.Embedding(20, 4), layers.GlobalAveragePooling1D()]
    raw = _random().integers(0, 20, (EXAMPLES, 5)).astype(np.int32)
    return Made(keras.Sequential([*stack, layers.Dense(3)]), raw, more={"input": {"vocabulary": words}})


def multilabel() -> Made:
    """Three labels of which any may apply, as logits."""
    stack = [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    return Made(keras.Sequential(stack), _random().normal(size=(EXAMPLES, 4)).astype(np.float32), "multilabel")


def several() -> Made:
    """A price beside a class, in one output."""
    stack = [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(4)]
    heads = [
        {"name": "price", "task": "regression", "columns": [0, 1], "labels": []},
        {"name": "city", "task": "classification", "columns": [1, 4], "labels": ["Aachen", "Bern", "Como"]},
    ]
    raw = _random().normal(size=(EXAMPLES, 4)).astype(np.float32)
    return Made(keras.Sequential(stack), raw, "several", "values, logits", (), more={"output": {"heads": heads}})


MODELS: dict[str, Callable[[], Made]] = {
    "cnn": cnn, "columns": columns, "lstm": lstm, "tokens": tokens, "multilabel": multilabel, "several": several,
}  # fmt: skip


def make(folder: Path, model: str, kind: str = "float32", run: str = "") -> Path:
    """Writes an artefact with its record and test vectors, and returns its path.

    Args:
        folder: made if it is not there.
        model: a key of `MODELS`.
        kind: "float32", "dynamic", or "int8".
        run: the run folder for the record.
    """
    keras.utils.set_random_seed(3)
    made = MODELS[model]()
    name = f"{model}_{kind}"
    path = folder / f"{name}.tflite"
    content = converted(made, kind)
    files.write_bytes(path, content)
    vectors.write(folder / f"{model}_vectors.npz", Vectors(made.raw, made.answers()))
    write_record(path, _artefact(made, path, content, name, kind, run, f"{model}_vectors.npz"))
    return path


def copy(path: Path, folder: Path) -> Path:
    """Copies an artefact with what lies beside it, and returns the path of the copy."""
    folder.mkdir(exist_ok=True)
    for file in (path, record_path(path), path.with_name(str(read_artefact(path).vectors))):
        shutil.copy(file, folder)
    return folder / path.name


def change(path: Path, **fields: Any) -> Path:
    """Changes fields of an artefact's record; a dict changes entries of the one that is there."""
    record = files.read_json(record_path(path))
    for name, value in fields.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    files.write_json(record_path(path), record)
    return path


def write_record(path: Path, artefact: Artefact) -> None:
    """Writes the record beside an artefact."""
    files.write_json(record_path(path), artefact.to_json())


def converted(made: Made, kind: str) -> bytes:
    """Returns the model as a `.tflite` file for one example.

    Dense layers have one scale each: tflite-runtime 2.14 crashes on aarch64 where a small one has one a channel.
    """
    start = made.model.inputs[0]
    signature = [tf.TensorSpec((1, *start.shape[1:]), start.dtype)]
    function = tf.function(lambda x: made.model(x, training=False), input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], made.model)
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "int8":
        converter.representative_dataset = lambda: _examples(made.prepared())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_output_type = tf.int8
        if made.raw.dtype != np.int32:
            converter.inference_input_type = tf.int8
    return converter.convert()


def _artefact(made: Made, path: Path, content: bytes, name: str, kind: str, run: str, vectors_name: str) -> Artefact:
    runner = LiteRT(path)
    sha256 = hashlib.sha256(content).hexdigest()
    before, after = ({"mean": e[0], "std": e[1]} if e else None for e in (made.before, made.after))
    preparation = {"preprocessing": "", "divisor": made.divisor, "standardization": before}
    output = {"task": made.task, "meaning": made.meaning, "standardization": after}
    return Artefact(
        name,
        "tflite",
        kind,
        run=run,
        path=str(path),
        size_bytes=len(content),
        gzip_bytes=len(content),
        sha256=sha256,
        files=[{"name": path.name, "size_bytes": len(content), "sha256": sha256}],
        input={**runner.input.to_json(), **preparation, **made.more.get("input", {})},
        output={**runner.output.to_json(), **output, **made.more.get("output", {})},
        labels=list(made.labels),
        vectors=vectors_name,
        parity=Parity("accuracy", 0.9, 0.9, 1e-7, 1e-8, 1e-7, 1.0, [], 100, {}, []),
    )


def _examples(x: np.ndarray) -> Iterator[list[np.ndarray]]:
    for example in x:
        yield [example[np.newaxis]]


def _random() -> np.random.Generator:
    return np.random.default_rng(5)
