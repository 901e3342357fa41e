"""From a batch of the input pipeline to DTensors: padded to what the mesh can divide, cut into micro-batches, spread.

A short last batch is padded with copies of its first example, which count nothing: copies, as zeros could make a loss
of NaN, and NaN times nothing is NaN. Every process reads the whole batch and hands over its own devices' part.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh.axes import BATCH
from tfday7.distribution.mesh.variables import layout, pack


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch on the mesh, and what is needed of it outside.

    Attributes:
        inputs, targets: of each micro-batch, with the examples divided over the axis "batch"; targets may be None.
        weights: float32 [examples] of each micro-batch; 0 for padding.
        count: the number of real examples, float32 on the mesh.
        size: the same number.
        y, sample_weight: as the pipeline gave them.
    """

    inputs: list[Any]
    targets: list[Any]
    weights: list[Any]
    count: Any
    size: int
    y: Any
    sample_weight: Any


class Spreader:
    """Brings batches to the mesh, all of one function padded to the largest so far: one size is traced once.

    Args:
        mesh: the mesh.
        micro_batches: how many to cut a batch into.
    """

    def __init__(self, mesh: Any, micro_batches: int = 1) -> None:
        self.mesh, self.micro_batches = mesh, micro_batches
        self.rows = 0

    def __call__(self, data: Any) -> Batch:
        """Returns a pipeline's element (x, y or (x, y, sample_weight), or x alone) on the mesh.

        Raises:
            UserError: weights that are not one number an example.
        """
        size = len(tf.nest.flatten(data)[0])
        self.rows = max(self.rows, padded_size(size, self.mesh.dim_size(BATCH) * self.micro_batches))
        return _spread(data, self.mesh, self.micro_batches, self.rows)


def _spread(data: Any, mesh: Any, micro_batches: int, rows: int) -> Batch:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    size = len(tf.nest.flatten(x)[0])
    weights = np.ones(size, np.float32)
    if sample_weight is not None:
        weights = np.asarray(sample_weight, np.float32)
        if weights.size != size:
            raise UserError(
                f"sample weights of shape {weights.shape} for {size} examples; on a mesh an example has one weight"
            )
        weights = weights.reshape(size)
    weights = np.concatenate([weights, np.zeros(rows - size, np.float32)])

    def parts(tensor: Any) -> list[Any]:
        array = _padded(np.asarray(tensor), rows)
        target = layout(mesh, [BATCH, *[None] * (array.ndim - 1)])
        return [pack(part, target) for part in np.split(array, micro_batches)]

    def micro(structure: Any) -> list[Any]:
        if structure is None:
            return [None] * micro_batches
        flat = [parts(tensor) for tensor in tf.nest.flatten(structure)]
        return [tf.nest.pack_sequence_as(structure, list(each)) for each in zip(*flat, strict=True)]

    count = pack(np.float32(size), layout(mesh, []))
    return Batch(micro(x), micro(y), parts(weights), count, size, y, sample_weight)


def padded_size(size: int, unit: int) -> int:
    """Returns the smallest multiple of `unit` that is not below `size`."""
    return -(-size // unit) * unit


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) if missing else array
