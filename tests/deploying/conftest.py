"""Artefacts that several tests deploy, each made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deploying import made_artefacts

Artefacts = Callable[..., Path]


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """Gives the path of an artefact by its model and kind; tests that change one copy it first."""
    folder = tmp_path_factory.mktemp("artefacts")

    def find(model: str, kind: str = "float32") -> Path:
        path = folder / f"{model}_{kind}.tflite"
        return path if path.exists() else made_artefacts.make(folder, model, kind)

    return find


@pytest.fixture
def copied(artefact: Artefacts, tmp_path: Path) -> Artefacts:
    """Gives the path of a copy, which a test may change."""
    return lambda model, kind="float32": made_artefacts.copy(artefact(model, kind), tmp_path / "copied")
