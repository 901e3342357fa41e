"""Keeps a compressed Keras model in a folder, so that it can be exported again later, in another process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfday7 import models
from tfday7.compression.technique import Skipped, Work
from tfday7.core import files, records
from tfday7.core.errors import UserError
from tfday7.data.dataset import Dataset
from tfday7.exporting.options import QuantizationOptions

MODEL, QUANTIZED, STATE = "model.keras", "quantized", "work.json"


def is_quantized(model: Any) -> bool:
    """Returns whether a model has fake quantization inside."""
    from tfday7.compression import qat

    return qat.is_quantized(model)


@dataclasses.dataclass(frozen=True)
class _State:
    """The content of `STATE`."""

    numbers: dict[str, Any] | None
    skipped: list[Skipped]
    notes: list[str]
    done: list[dict[str, Any]]


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
    again = "compress again with --overwrite"
    state = records.build(_State, files.read_json(folder / STATE), folder / STATE, again)
    if (folder / QUANTIZED).exists():
        from tfday7.compression import qat

        model = qat.load(folder / QUANTIZED, allow_unsafe)
    else:
        model = models.load(folder / MODEL, allow_unsafe=allow_unsafe)
    work = Work(model, original, dataset)
    if state.numbers is not None:
        from tfday7.compression.techniques.quantize import Numbers

        work.numbers = records.build(Numbers, state.numbers, f"{folder / STATE}: numbers", again)
    work.skipped, work.notes, work.done = state.skipped, state.notes, state.done
    with records.understood(folder / STATE, again):
        options(work)
    return work


def options(work: Work) -> QuantizationOptions:
    """Returns how a work's file is quantized, and whether its zeros are left out where that makes it smaller."""
    sparse = any(step["technique"] == "prune" for step in work.done)
    return QuantizationOptions(sparse=sparse) if work.numbers is None else work.numbers.options(sparse)
