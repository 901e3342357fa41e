"""Every architecture on its way through the program: resumed bit for bit, opened by Keras 3, exported to TFLite."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7 import models
from tfday7.core.frameworks import keras, keras3
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.config import wanted
from tfday7.exporting.records import Origin
from tfday7.models import ModelConfig, building
from tfday7.models.architecture import ARCHITECTURES
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting

pytestmark = pytest.mark.slow

ADAM, EPOCHS = OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=6)
VOCABULARY = ("[padding]", "[unknown]", *"abcdefgh")
CASES = [
    ("linear", "text"), ("linear", "series"), ("mlp", "text"), ("lstm", "text"), ("lstm", "series"), ("gru", "text"),
    ("gru", "series"), ("transformer", "text"), ("ds_cnn", "image"), ("ds_cnn", "series"), ("mobilenet_v2", "image"),
    ("autoencoder", "image"),
]  # fmt: skip


def _dataset(kind: str, task: str = "classification") -> Dataset:
    """Which half is larger: of the words' ids, of the steps' values, or of the image."""
    generator = np.random.default_rng(7)
    y = np.arange(160) % 2
    if kind == "text":
        x = generator.integers(2, 10, (160, 8)).astype(np.int32)
        x[:, 0] = np.where(y, generator.integers(6, 10, 160), generator.integers(2, 6, 160))
        x[np.arange(8) >= generator.integers(3, 9, 160)[:, np.newaxis]] = 0
        return prepare(Raw(x, y, vocabulary=VOCABULARY), kind)
    shape = (8, 3) if kind == "series" else (8, 8, 3)
    x = generator.uniform(0, 0.4, (160, *shape)).astype(np.float32)
    x[y == 1, 4:] += 0.5
    x[y == 0, :4] += 0.5
    return prepare(Raw(x, y), kind, task)


def _model(name: str, dataset: Dataset) -> Any:
    size = {"linear": {}, "mobilenet_v2": {"width": 8, "depth": 3}}.get(name, {"width": 8, "depth": 2})
    if dataset.problem.kind == "series" and "depth" in size:
        size["depth"] = 1  # How layers stack, the texts and images show.
    return building.build(ModelConfig(model=name, dropout=0.2, **size), dataset.problem)


class _Copied(keras.callbacks.Callback):  # type: ignore[misc]
    """Copies a run's folder in the middle of the run, as SIGKILL would leave it then."""

    def __init__(self, folder: Path, copy: Path) -> None:
        super().__init__()
        self._folders = folder, copy

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 3:  # Counted from 0.
            shutil.copytree(*self._folders)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_from_training_to_files(name: str, kind: str, tmp_path: Path) -> None:
    dataset = _dataset(kind, ARCHITECTURES.get(name).task or "classification")
    whole, resumed = _model(name, dataset), _model(name, dataset)
    copied = _Copied(tmp_path / "whole", tmp_path / "parts")
    fitting.fit(whole, dataset, ADAM, EPOCHS, RunFolder(tmp_path / "whole"), callbacks=[copied])
    fit = fitting.fit(resumed, dataset, ADAM, EPOCHS, RunFolder(tmp_path / "parts"))
    assert 1 < fit.resumed_at <= 4
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = whole.predict(dataset.test.x, verbose=0)
    scale = float(np.abs(expected).max())

    models.save(models.load(whole, dtype_policy="float32"), tmp_path / "model.keras")
    opened = keras3.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(opened.predict(dataset.test.x, verbose=0), expected, atol=1e-5 * scale)

    origin = Origin("small", str(tmp_path), "logits", data={})
    artefacts = exporting.export(
        whole, dataset, wanted(("tflite",), ""), tmp_path / "files", origin, expected=expected, bisect=False
    )
    assert [artefact.failure for artefact in artefacts] == ["", ""]
    for artefact, limit in zip(artefacts, (1e-4, 0.15), strict=True):
        assert artefact.parity is not None
        assert artefact.parity.relative_difference < limit, artefact.kind
        summary = tflite_file.read(Path(str(artefact.path)))
        assert (tflite_file.float_islands(summary) == []) == (artefact.kind == "int8")
        if kind == "text":  # Token ids are no quantities: they stay whole numbers.
            assert artefact.input["dtype"] == "int32"
