"""Artefacts that are made once for all tests of benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarking import made_artefacts


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .csv file of two classes."""
    path = tmp_path_factory.mktemp("data") / "table.csv"
    made_artefacts.write_table(path)
    return path


@pytest.fixture(scope="session")
def linear(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A folder with linear_float32.tflite and linear_float32.onnx, their records and test vectors."""
    folder = tmp_path_factory.mktemp("models") / "linear"
    folder.mkdir()
    made_artefacts.record(made_artefacts.tflite(folder / "linear_float32.tflite"), table)
    made_artefacts.record(made_artefacts.onnx_file(folder / "linear_float32.onnx"), table)
    return folder
