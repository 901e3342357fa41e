"""What TFMOT loses without a word, in the exported file: sparsity, clusters and outputs.

    model-optimization#979       pruned, clustered and quantization-aware: 1x1 convolutions become all zero
    model-optimization#1056      clustered and quantization-aware: there are more values than clusters
    model-optimization#720, #721 pruned and quantization-aware: zeros drift away in the last steps

The fourth, #771, is with the tests of `qat`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.records import Origin
from tfday7.optimizers import OptimizerConfig

LAYERS = keras.layers
SHAPES = {"wide": (8, 3, 3, 1), "one": (6, 1, 1, 8), "residual": (6, 1, 1, 6), "logits": (2, 96)}


def model_with_a_residual() -> Any:
    """1x1 convolutions with normalizations and an addition, as in a ResNet-50, where #1056 was seen."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = LAYERS.Conv2D(8, 3, padding="same", name="wide")(inputs)
    x = LAYERS.ReLU(name="wide_relu")(LAYERS.BatchNormalization(name="wide_norm")(x))
    x = LAYERS.Conv2D(6, 1, name="one")(x)
    x = LAYERS.ReLU(name="one_relu")(LAYERS.BatchNormalization(name="one_norm")(x))
    y = LAYERS.BatchNormalization(name="residual_norm")(LAYERS.Conv2D(6, 1, name="residual")(x))
    x = LAYERS.Flatten(name="flat")(LAYERS.Add(name="add")([x, y]))
    return keras.Model(inputs, LAYERS.Dense(2, name="logits")(x))


def after(dataset: Dataset, *steps: tuple[str, dict[str, Any]]) -> Work:
    """Returns the work after steps of a recipe, all of which train, at a rate that moves every weight."""
    model = model_with_a_residual()
    work = Work(model, model, dataset, optimizer=OptimizerConfig(learning_rate=0.02))
    for name, given in steps:
        technique = TECHNIQUES.get(name)
        work.done.append(technique.apply(work, read_settings(technique, {"distil": "none", "epochs": 2, **given})))
    return work


def exported(work: Work, folder: Path) -> dict[str, np.ndarray]:
    """Returns the int8 weights in the file by layer, each as [outputs, rest]; the outputs have been compared."""
    wanted: list[Any] = [("tflite", "int8")]
    (artefact,) = exporting.export(work.model, work.dataset, wanted, folder, Origin("m", "", "logits"), bisect=False)
    assert artefact.parity is not None
    assert artefact.parity.holds, artefact.parity  # Outputs of the file are those of the model that was trained.
    content = (folder / artefact.path).read_bytes()
    tensors = [each for each in tflite_file.read(content).tensors if each.dtype == "int8" and each.is_constant]
    found = {}
    for layer, shape in SHAPES.items():
        (tensor,) = (each for each in tensors if each.shape == shape)
        found[layer] = tflite_file.constant(content, tensor).reshape(shape[0], -1)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", [0.5, 0.75])
def test_720_zeros_do_not_drift_when_a_pruned_model_is_trained_with_rounding(
    pictures: Dataset, tmp_path: Path, sparsity: float
) -> None:
    work = after(pictures, ("prune", {"sparsity": sparsity, "spare_ends": False}), ("qat", {}))
    assert len(work.kept) == len(SHAPES)
    for layer, values in exported(work, tmp_path).items():
        zeros = work.kept[f"{layer}/kernel"].zeros
        assert zeros is not None
        assert zeros.sum() == round(zeros.size * sparsity)
        assert not values[np.moveaxis(zeros, -1, 0).reshape(values.shape)].any()
        assert np.mean(values == 0) < sparsity + 0.15  # And what was not pruned is there.


@pytest.mark.slow
@pytest.mark.parametrize("per_channel", [False, True])
def test_1056_no_cluster_is_lost_when_a_clustered_model_is_trained_with_rounding(
    pictures: Dataset, tmp_path: Path, per_channel: bool
) -> None:
    work = after(pictures, ("cluster", {"clusters": 4, "per_channel": per_channel}), ("qat", {}))
    assert len(work.kept) == len(SHAPES)
    for layer, values in exported(work, tmp_path).items():
        counts = [len(np.unique(row)) for row in values]
        assert max(counts) <= 4
        assert max(counts) > 1
        clusters = work.kept[f"{layer}/kernel"].clusters
        assert clusters is not None
        for row, numbers in zip(values, np.moveaxis(clusters, -1, 0).reshape(values.shape), strict=True):
            for number in np.unique(numbers):
                assert len(np.unique(row[numbers == number])) == 1


@pytest.mark.slow
def test_979_a_pruned_and_clustered_1x1_convolution_is_not_all_zero_after_training_with_rounding(
    pictures: Dataset, tmp_path: Path
) -> None:
    steps = ("prune", {"sparsity": 0.5, "spare_ends": False}), ("cluster", {"clusters": 5}), ("qat", {})
    work = after(pictures, *steps)
    assert len(work.kept) == len(SHAPES)
    for layer, values in exported(work, tmp_path).items():
        zeros = work.kept[f"{layer}/kernel"].zeros
        assert zeros is not None
        stored = np.moveaxis(zeros, -1, 0).reshape(values.shape)
        assert not values[stored].any()
        assert np.mean(values[~stored] != 0) > 0.7  # A value may round to 0; most do not.
        assert max(len(np.unique(row)) for row in values) <= 5
