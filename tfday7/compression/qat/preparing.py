"""From a model to one with fake quantization: flatten it, place the rounding, calibrate the ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.compression.qat import Left, is_quantized
from tfday7.compression.qat.flattening import flattened
from tfday7.compression.qat.layers import FakeQuantize
from tfday7.compression.qat.placing import Placing
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.models.door.graph import TF_KERAS

if TYPE_CHECKING:
    from tfday7.compression.constraints import Kept
    from tfday7.data.dataset import Dataset

BATCH = 64


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A model with fake quantization, and how it came from the one that was given.

    Attributes:
        model: ranges calibrated.
        left: see `qat.prepare`.
        exported: whether the ranges of the file are those of the model; else the export calibrates its own.
        paths: of the weights of the given model, "nested/conv/kernel", to those of the new one.
    """

    model: Any
    left: list[Left]
    exported: bool
    paths: dict[str, str]

    def kept(self, given: Mapping[str, Kept]) -> dict[str, tuple[str, Kept]]:
        """Returns what is kept of the new model's weights: path -> (path in the given model, what is kept)."""
        from tfday7.compression import constraints

        known = constraints.weights(self.model)
        found = {}
        for path, each in given.items():
            new = self.paths.get(path, path)
            shape = next((array.shape for array in (each.zeros, each.clusters) if array is not None), ())
            if new in known and tuple(known[new].variable.shape) == shape:
                found[new] = (path, each)
        return found


def prepared(
    model: Any, dataset: Dataset, skip: Collection[str] = (), unfolded: Collection[str] = (), decay: float = 0.99
) -> Prepared:
    """Returns what `tfday7.compression.qat.prepare` does, with more of it; arguments and errors as there."""
    from tfday7.exporting.affine import core_of
    from tfday7.exporting.calibration import calibration_examples

    check(model)
    flat, paths = flattened(model, unfolded)
    known = {layer.name for layer in flat.layers}
    unknown = [name for name in skip if name not in known]
    if unknown:
        weighted = [layer.name for layer in flat.layers if layer.weights]
        raise UserError(f"skip: the model has no layer {unknown[0]!r}", f"it has {', '.join(weighted)}")
    _, way_in, way_out = core_of(flat)
    start = flat.inputs[0] if way_in is None else _standardized(flat)
    end = flat.outputs[0] if way_out is None else flat.outputs[0].node.layer.input  # Of the Rescaling at the end.
    placing = Placing(flat, (start, end), skip, decay)
    quantized = placing.model(flat)
    calibrate(quantized, calibration_examples(dataset, model))
    return Prepared(quantized, placing.left, placing.exported, paths)


def check(model: Any) -> None:
    """Raises UserError for a model that cannot be trained with rounding."""
    if is_quantized(model):
        raise UserError(f"model {model.name!r} has fake quantization already", "give the model it was made from")
    if not TF_KERAS.has_graph(model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"model {model.name!r} is not functional with one input and one output",
            "quantization-aware training takes such models; others are quantized after training",
        )


def calibrate(model: Any, x: np.ndarray) -> None:
    """Sets each range to the smallest and the largest value that comes there without any rounding of values.

    Args:
        model: with fake quantization; its ranges change.
        x: inputs of the model, as the data set has them.
    """
    observers = [layer for layer in model.submodules if isinstance(layer, FakeQuantize)]
    for layer in observers:
        layer.seen = []
    try:
        for start in range(0, len(x), BATCH):
            model(tf.convert_to_tensor(x[start : start + BATCH]), training=False)
        for layer in observers:
            if layer.fixed is None and layer.seen:
                layer.set_ends(min(layer.seen), max(layer.seen))
    finally:
        for layer in observers:
            layer.seen = None


def _standardized(flat: Any) -> Any:
    """Returns the tensor that an int8 file takes: what comes out of the first Normalization (`affine.core_of`)."""
    return next(layer.output for layer in flat.layers if isinstance(layer, keras.layers.Normalization))
