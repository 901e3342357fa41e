"""Keeps a compressed Keras model in a folder, so that it can be exported again later, in another process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfday7 import models
from tfday7.compression.technique import Skipped, Work
from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.data.dataset import Dataset
from tfday7.exporting.options import QuantizationOptions

MODEL, QUANTIZED, STATE = "model.keras", "quantized", "work.json"


def is_quantized(model: Any) -> bool:
    """Returns whether a model has fake quantization inside."""
    from tfday7.compression import qat

    return qat.is_quantized(model)


def save(work: Work, folder: Path) -> None:
    """Writes the model and what the export needs to know of it.

    Args:
        work: after all steps of its recipe.
        folder: made where it is missing.

    Raises:
        UserError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_quantized(work.model):
        from tfday7.compression import qat

        qat.save(work.model, folder / QUANTIZED)
    else:
        models.save(work.model, folder / MODEL)
    numbers = None if work.numbers is None else dataclasses.asdict(work.numbers)
    skipped = [dataclasses.asdict(each) for each in work.skipped]
    files.write_json(folder / STATE, {"numbers": numbers, "skipped": skipped, "notes": work.notes, "done": work.done})


def load(folder: Path, dataset: Dataset, original: Any, allow_unsafe: bool = False) -> Work:
    """Returns the work that was saved, ready for export.

    Args:
        folder: see `save`.
        dataset, original: as of `Work`.
        allow_unsafe: as of `models.load`.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not (folder / STATE).exists():
        raise UserError(f"{folder}: no compressed model", "compress again with --overwrite")
    state: Any = files.read_json(folder / STATE)
    if (folder / QUANTIZED).exists():
        from tfday7.compression import qat

        model = qat.load(folder / QUANTIZED, allow_unsafe)
    else:
        model = models.load(folder / MODEL, allow_unsafe=allow_unsafe)
    work = Work(model, original, dataset)
    try:
        if state["numbers"] is not None:
            from tfday7.compression.techniques.quantize import Numbers

            work.numbers = Numbers(**state["numbers"])
        work.skipped = [Skipped(**each) for each in state["skipped"]]
        work.notes, work.done = list(state["notes"]), list(state["done"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / STATE}: not what a compression wrote", "compress again with --overwrite") from error
    return work


def options(work: Work) -> QuantizationOptions:
    """Returns how a work's file is quantized, and whether its zeros are left out where that makes it smaller."""
    sparse = any(step["technique"] == "prune" for step in work.done)
    return QuantizationOptions(sparse=sparse) if work.numbers is None else work.numbers.options(sparse)
