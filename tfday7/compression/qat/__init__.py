"""Quantization-aware training: a model that rounds as its int8 file will, so that training makes up for the rounding.

A model is flattened (`flattening`), fake quantization is put where an int8 file rounds (`placing`), and its ranges are
taken from training examples (`calibrating`). What comes of it is a tf_keras model that is trained, saved and exported
like any other: the converter finds the ranges in it, and the file computes what the model computes, to a step of the
output or two. After Jacob et al. (2018, arXiv:1712.05877) and Krishnamoorthi (2018, arXiv:1806.08342).

Nothing here loads TensorFlow before a function is called.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfday7.data.dataset import Dataset

__all__ = ["Left", "is_quantized", "load", "prepare", "save"]


@dataclasses.dataclass(frozen=True)
class Left:
    """A layer in which nothing, or not everything, is rounded while training, and why."""

    layer: str
    reason: str


def prepare(
    model: Any, dataset: Dataset, skip: tuple[str, ...] = (), unfolded: tuple[str, ...] = (), decay: float = 0.99
) -> tuple[Any, list[Left]]:
    """Returns a new model with fake quantization, its ranges calibrated, and what was left alone.

    Args:
        model: a float32 tf_keras functional model with one input and one output; it stays as it is.
        dataset: whose training examples show which numbers occur.
        skip: names of layers whose weights are not to be rounded while training; the export rounds them.
        unfolded: names of Dense layers that keep their BatchNormalization, because their values must stay as they are.
        decay: how much of a range is kept in a training step; the rest comes from the batch.

    Returns:
        (the model, a list of what is left to the export's own calibration or in floating point).

    Raises:
        UserError: more than one input or output, no recorded graph, a layer of `skip` that the model does not have,
            fake quantization in the model already, or a layer that no int8 file has (ELU).
    """
    from tfday7.compression.qat import preparing

    made = preparing.prepared(model, dataset, skip, unfolded, decay)
    return made.model, made.left


def is_quantized(model: Any) -> bool:
    """Returns whether a model has fake quantization of `prepare` inside."""
    return any(type(layer).__module__ == "tfday7.compression.qat.layers" for layer in model.submodules)


def save(model: Any, path: Path | str) -> None:
    """Writes a model of `prepare` with its weights and ranges. Raises UserError where the path cannot be written."""
    from tfday7.compression.qat import saving

    saving.save(model, Path(path))


def load(path: Path | str, allow_unsafe: bool = False) -> Any:
    """Returns a model that `save` wrote: it gives the same outputs and trains on.

    Nothing of the file is executed: it holds names, numbers and settings of layers.

    Args:
        path: of the file.
        allow_unsafe: run code that the file brings all the same (Lambda layers); only for files that you trust.

    Raises:
        UserError: no such file, damaged, with a layer that is not known here, or with code.
    """
    from tfday7.compression.qat import saving

    return saving.load(Path(path), allow_unsafe)
