"""Small artefacts with records, made for these tests: a linear model whose answers and accuracy are arithmetic."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tfday7 import data
from tfday7.core import files
from tfday7.core.frameworks import keras, tf
from tfday7.data.config import DataConfig
from tfday7.exporting import vectors
from tfday7.exporting.records import Artefact, record_path

FEATURES, CLASSES = 3, 2
WEIGHTS = np.array([[1.0, -1.0], [-1.0, 1.0], [0.25, 0.0]], np.float32)
BIAS = np.array([0.1, -0.1], np.float32)


def write_table(path: Path) -> None:
    """Writes 300 rows: `up` where a > b, except for every seventh row, so that no model is right everywhere."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(300, FEATURES)).round(3)
    labels = ["up" if (a > b) != (i % 7 == 0) else "down" for i, (a, b, _) in enumerate(x)]
    lines = ["a,b,c,label", *(f"{a},{b},{c},{label}" for (a, b, c), label in zip(x, labels, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def logits(x: np.ndarray) -> np.ndarray:
    """Returns what the model answers: columns are (down, up), as classes are in alphabetical order."""
    return x @ WEIGHTS[:, ::-1] + BIAS[::-1]


def expected_accuracy(table: Path) -> float:
    """Returns the accuracy on the table's test split, by arithmetic."""
    test = data.load(DataConfig(data=str(table), target="label")).test
    return float(np.mean(logits(np.asarray(test.x)).argmax(axis=1) == np.asarray(test.y)))


def keras_model() -> Any:
    """Returns the model in tf_keras."""
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES)])
    model.layers[-1].set_weights([WEIGHTS[:, ::-1], BIAS[::-1]])
    return model


def tflite(path: Path, model: Any = None) -> Path:
    """Writes a model, by default the linear one, as a `.tflite` file for one example at a time."""
    model = model or keras_model()
    shape = (1, *model.inputs[0].shape[1:])
    serve = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec(shape)])
    function = serve.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert())
    return path


def int8_tflite(path: Path, examples: np.ndarray) -> Path:
    """Writes the linear model as a `.tflite` file in int8 throughout, calibrated on examples [n, 3]."""
    model = keras_model()
    serve = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((1, FEATURES))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


def saved_model(path: Path) -> Path:
    """Writes the linear model as a SavedModel for batches of any size."""
    model = keras_model()
    signature = [tf.TensorSpec((None, FEATURES), name="input")]
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: {"output": model(x)}, input_signature=signature)
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


def onnx_file(path: Path, batch: int | str = "batch") -> Path:
    """Writes the linear model as an `.onnx` file; TensorFlow has no part in it."""
    make = onnx.helper
    nodes = [make.make_node("Gemm", ["x", "weights", "bias"], ["y"])]
    ends = [
        [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [batch, size])]
        for name, size in (("x", FEATURES), ("y", CLASSES))
    ]
    constants = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in (("weights", WEIGHTS[:, ::-1]), ("bias", BIAS[::-1]))
    ]
    graph = make.make_graph(nodes, "linear", *ends, constants)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def record(path: Path, table: Path | None = None, run: str = "", **values: Any) -> Artefact:
    """Writes the record beside an artefact, and test vectors, and returns it.

    Args:
        path: a file or a folder.
        table: the data that it was made with, which the record names.
        run: the run folder that it comes from.
        values: further fields of the record.
    """
    found = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    entries = [
        {
            "name": str(file.relative_to(path.parent)),
            "size_bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in found
    ]
    recipe: dict[str, Any] = {}
    if table:
        flags = {"data": str(table), "target": "label"}
        recipe = {"data": {"flags": flags, "fingerprint": data.load(DataConfig(**flags)).fingerprint}}
    raw = np.random.default_rng(5).normal(size=(10, FEATURES)).astype(np.float32)
    vectors.write(path.with_name("linear_vectors.npz"), vectors.Vectors(raw, logits(raw)))
    artefact = Artefact(
        name=path.stem if path.is_file() else path.name,
        format=path.suffix.removeprefix(".") or "saved_model",
        kind="float32",
        run=run,
        path=str(path),
        size_bytes=sum(entry["size_bytes"] for entry in entries),
        gzip_bytes=100,
        files=entries,
        input={"dtype": "float32", "shape": [1, FEATURES], "divisor": 1.0, "standardization": None},
        output={"task": "classification", "meaning": "logits", "standardization": None},
        labels=["down", "up"],
        vectors="linear_vectors.npz",
        recipe=recipe,
    )
    artefact = dataclasses.replace(artefact, **values)
    files.write_json(record_path(path), artefact.to_json())
    return artefact
