"""Small models with everything that a bundle of them holds, for the tests of what is made from bundles."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.frameworks import keras, tf
from tfday7.deploying.bundle import Bundle, make
from tfday7.exporting import vectors as vectors_of
from tfday7.exporting.records import Artefact, record_path
from tfday7.exporting.vectors import Vectors
from tfday7.runtimes import open_artefact

VECTORS = 6


def convert(model: Any, raw: np.ndarray, kind: str = "float32") -> bytes:
    """Returns a Keras model of one input as a .tflite file for one example at a time, calibrated on `raw`."""
    spec = tf.TensorSpec((1, *raw.shape[1:]), model.inputs[0].dtype)
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: {"output": model(x, training=False)}, input_signature=[spec])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            converter.representative_dataset = lambda: ([row[np.newaxis]] for row in raw)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def made(
    folder: Path,
    content: bytes,
    vectors: Vectors,
    name: str = "small_int8",
    task: str = "classification",
    meaning: str = "logits",
    labels: tuple[str, ...] = (),
    input: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
) -> Bundle:
    """Returns the bundle of a .tflite file, made as `tfday7.deploy` makes it.

    Args:
        folder: an empty one, for the artefact and the bundle.
        content: of the file.
        vectors: inputs, and the Keras model's answers; only the inputs' values matter here.
        name: the artefact's; ends in its kind.
        input, output: what the record says beyond the tensors themselves: divisor, standardization, heads, vocabulary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "artefact.tflite"
    path.write_bytes(content)
    vectors_of.write(folder / "vectors.npz", vectors)
    runner = open_artefact(path, "litert")
    digest = hashlib.sha256(content).hexdigest()
    artefact = Artefact(
        name,
        "tflite",
        name.rpartition("_")[2],
        size_bytes=len(content),
        sha256=digest,
        files=[{"name": path.name, "size_bytes": len(content), "sha256": digest}],
        input={**runner.input.to_json(), "divisor": 1.0, "standardization": None, **(input or {})},
        output={
            **runner.output.to_json(),
            "task": task,
            "meaning": meaning,
            "standardization": None,
            **(output or {}),
        },
        labels=list(labels),
        vectors="vectors.npz",
    )
    files.write_json(record_path(path), artefact.to_json())
    return make(path, folder / "bundle")


def answers_of(model: Any, raw: np.ndarray) -> Vectors:
    """Returns test vectors with the Keras model's answers."""
    return Vectors(raw, np.asarray(model(raw, training=False), np.float32))


def generator() -> np.random.Generator:
    """Returns the same random numbers for every test."""
    return np.random.default_rng(7)


def image_classifier() -> tuple[Any, np.ndarray]:
    """Returns a small convolutional network of three classes, with raw pixels 0 to 255; it divides nothing itself."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.MaxPool2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    return model, generator().integers(0, 256, (VECTORS, 8, 8, 1)).astype(np.float32)


def dense(features: int, outputs: int) -> Any:
    """Returns a small dense network."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((features,))
    return keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Dense(6, activation="tanh")(inputs)))


def word_classifier() -> tuple[Any, np.ndarray]:
    """Returns a small network over token ids, with token ids."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4, embeddings_initializer="normal")(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(x)), generator().integers(0, 20, (VECTORS, 6)).astype(np.int32)


def series_classifier() -> tuple[Any, np.ndarray]:
    """Returns a small LSTM, which TFLite fuses into an operator that keeps state, with series."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(5)(inputs)))
    return model, generator().normal(size=(VECTORS, 6, 3)).astype(np.float32)
