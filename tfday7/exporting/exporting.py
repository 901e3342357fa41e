"""Exports a model to every format asked for, and says what held and what did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.core.errors import GateError
from tfday7.data import Dataset, pipeline
from tfday7.exporting import tflite
from tfday7.exporting.records import Artefact

EXPORTERS: dict[str, Callable[..., list[Artefact]]] = {"tflite": tflite.export}


def export(
    model: Any, dataset: Dataset, formats: tuple[str, ...], folder: Path, name: str, meaning: str
) -> list[Artefact]:
    """Exports a model.

    Args:
        model: a float32 tf_keras model.
        dataset: training examples calibrate, test examples verify.
        formats: keys of `EXPORTERS`.
        folder: where the files go.
        name: the model's name, the first part of every file name.
        meaning: what the outputs are: "logits", "probabilities" or "values".
    """
    expected = pipeline.predict(model, dataset.test)
    artefacts: list[Artefact] = []
    for chosen in formats:
        artefacts += EXPORTERS[chosen](model, dataset, folder, name, meaning, expected)
    return artefacts


def check_gate(artefacts: list[Artefact]) -> None:
    """Raises GateError (exit 3) when an artefact could not be made or does not give the Keras model's answers."""
    broken = [artefact for artefact in artefacts if not artefact.holds]
    if broken:
        reasons = [f"{a.name}: {a.failure or '; '.join(a.parity.failures if a.parity else [])}" for a in broken]
        raise GateError("; ".join(reasons), "the report shows each artefact's comparison with the Keras model")
