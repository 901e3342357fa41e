"""Exports a model to every format asked for, and says what held and what did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import GateError, UserError
from tfday7.data import Dataset, pipeline
from tfday7.exporting import tflite
from tfday7.exporting.records import Artefact, Origin

__all__ = ["EXPORTERS", "Origin", "check_free", "check_gate", "export"]

EXPORTERS: dict[str, Callable[..., list[Artefact]]] = {"tflite": tflite.export}


def export(model: Any, dataset: Dataset, formats: tuple[str, ...], folder: Path, origin: Origin) -> list[Artefact]:
    """Exports a model.

    Args:
        model: a float32 tf_keras model.
        dataset: training examples calibrate, test examples verify.
        formats: keys of `EXPORTERS`.
        folder: where the files go.
        origin: the model's name, its run, and what its outputs are.
    """
    files.remove_partials(folder, older_than_seconds=3600)
    expected = pipeline.predict(model, dataset.test)
    artefacts: list[Artefact] = []
    for chosen in formats:
        artefacts += EXPORTERS[chosen](model, dataset, folder, origin, expected)
    return artefacts


def check_free(folder: Path, run: str) -> None:
    """Checks that a folder holds no artefacts of another run.

    Args:
        folder: where the artefacts are to go; may not exist.
        run: the run folder, absolute.

    Raises:
        UserError: it does; the message names that run.
    """
    for record in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        other = files.read_json(record)
        if isinstance(other, dict) and other.get("format") in EXPORTERS and other.get("run") != run:
            raise UserError(
                f"{folder} holds the artefacts of another run ({other.get('run') or 'unknown'})",
                "choose another folder with --export_dir=FOLDER, or replace them with --overwrite",
            )


def check_gate(artefacts: list[Artefact]) -> None:
    """Raises GateError (exit 3) when an artefact could not be made or does not give the Keras model's answers."""
    broken = [artefact for artefact in artefacts if not artefact.holds]
    if broken:
        reasons = [f"{a.name}: {a.failure or '; '.join(a.parity.failures if a.parity else [])}" for a in broken]
        raise GateError("; ".join(reasons), "the report shows each artefact's comparison with the Keras model")
