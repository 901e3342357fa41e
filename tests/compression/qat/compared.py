"""Exports a model with fake quantization and compares the file with it: what the tests here share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.records import Origin


def steps_between(model: Any, dataset: Dataset, folder: Path) -> tuple[float, tflite_file.Summary]:
    """Returns the largest difference of file and model on the test split, in steps of the file's output, and the file.

    The export itself refuses a file that is not int8 throughout.
    """
    wanted: list[Any] = [("tflite", "int8")]
    (artefact,) = exporting.export(model, dataset, wanted, folder, Origin("m", "", "logits"), bisect=False)
    assert not artefact.failure, artefact.failure
    assert artefact.parity is not None
    assert artefact.path is not None
    summary = tflite_file.read(folder / Path(artefact.path).name)
    (output,) = summary.outputs
    assert output.scale
    assert artefact.parity.largest_difference is not None
    return artefact.parity.largest_difference / output.scale, summary


def operators(summary: tflite_file.Summary) -> dict[str, int]:
    """Returns how often each operator occurs."""
    return {each.name: each.count for each in summary.operators}


def images(shape: tuple[int, ...] = (8, 8, 3), count: int = 120) -> Dataset:
    """Returns random images of two classes, the second brighter."""
    generator = np.random.default_rng(3)
    y = np.arange(count) % 2
    x = generator.uniform(0, 1, size=(count, *shape)) + 0.3 * y.reshape(-1, *[1] * len(shape))
    return prepare(Raw(x.astype(np.float32), y), "images")


def with_statistics(model: Any) -> Any:
    """Returns the model with normalization statistics as after training: fresh ones hide a wrong folding."""
    generator = np.random.default_rng(5)
    for layer in model.submodules:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (weight.shape for weight in layer.get_weights())
            layer.set_weights(
                [
                    generator.uniform(0.5, 1.5, gamma),
                    generator.normal(0, 0.3, beta),
                    generator.normal(0, 0.3, mean),
                    generator.uniform(0.5, 1.5, variance),
                ]
            )
    return model
