"""Variables on a mesh that give and take whole NumPy arrays, so that checkpoints fit any mesh and none.

`model.get_weights`, `set_weights` and whatever else calls `variable.numpy()` and `variable.assign(array)` work on them.
With several processes, every process must make these calls, in the same order: they gather.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfday7.core.frameworks import tf


def layout(mesh: Any, specs: Sequence[str | None]) -> Any:
    """Returns the DTensor layout that divides each dimension over the named axis, or does not (None)."""
    dtensor = tf.experimental.dtensor
    return dtensor.Layout([axis or dtensor.UNSHARDED for axis in specs], mesh)


def pack(array: Any, target: Any) -> Any:
    """Returns a whole array as a DTensor; each process hands over its own devices' parts.

    Args:
        array: every divided dimension is a multiple of the devices along its axis.
        target: the layout.
    """
    dtensor = tf.experimental.dtensor
    array = np.asarray(array)
    parts = []
    for place in target.mesh.local_device_locations():
        chosen = []
        for axis, size in zip(target.sharding_specs, array.shape, strict=True):
            if axis == dtensor.UNSHARDED:
                chosen.append(slice(None))
            else:
                share = size // target.mesh.dim_size(axis)
                chosen.append(slice(place[axis] * share, (place[axis] + 1) * share))
        with tf.device("/CPU:0"):
            parts.append(tf.constant(array[tuple(chosen)]))
    return dtensor.pack(parts, target)


def whole(tensor: Any) -> np.ndarray:
    """Returns the value of a DTensor of any layout."""
    dtensor = tf.experimental.dtensor
    mesh = dtensor.fetch_layout(tensor).mesh
    copies = dtensor.relayout(tensor, dtensor.Layout.replicated(mesh, rank=tensor.shape.rank))
    return dtensor.unpack(copies)[0].numpy()


def local_parts(variable: Any) -> list[np.ndarray]:
    """Returns what each device of this process holds of a variable on a mesh."""
    return [part.numpy() for part in tf.experimental.dtensor.unpack(variable.read_value())]


def read(variable: Any) -> np.ndarray:
    """Returns the whole value of a variable, on a mesh or not."""
    return whole(variable.read_value()) if _is_on_mesh(variable) else variable.numpy()


def write(variable: Any, array: Any) -> None:
    """Sets a variable, on a mesh or not, to a whole value.

    Raises:
        ValueError: another shape.
    """
    array = np.asarray(array, variable.dtype.as_numpy_dtype)
    if array.shape != tuple(variable.shape):
        raise ValueError(f"{variable.name} has shape {tuple(variable.shape)}; got {array.shape}")
    if _is_on_mesh(variable):
        tf.experimental.dtensor.DVariable.assign(variable, pack(array, variable.layout))
    else:
        variable.assign(array)


def make(array: np.ndarray, target: Any, name: str, trainable: bool) -> Any:
    """Returns a variable on a mesh."""
    return _kind()(pack(array, target), name=name, trainable=trainable)


def adopt(variable: Any) -> None:
    """Gives a `DVariable` that TensorFlow made, an optimizer's slot for example, the methods of ours, in place."""
    if type(variable) is tf.experimental.dtensor.DVariable:
        variable.__class__ = _kind()


def _is_on_mesh(variable: Any) -> bool:
    return isinstance(variable, tf.experimental.dtensor.DVariable)


@functools.cache
def _kind() -> type:
    """Returns the class, which can only be made once TensorFlow is there."""

    class MeshVariable(tf.experimental.dtensor.DVariable):
        """A variable on a mesh whose `numpy` gathers and whose `assign` spreads."""

        def numpy(self) -> np.ndarray:
            """Returns the whole value."""
            return read(self)

        def assign(self, value: Any, *args: Any, **kwargs: Any) -> Any:
            """Takes a tensor on the mesh, or a whole value from outside it."""
            if tf.is_symbolic_tensor(value) or not tf.executing_eagerly():
                return super().assign(value, *args, **kwargs)
            if isinstance(value, (tf.Tensor, tf.Variable)) and tf.experimental.dtensor.is_dtensor(value):
                return super().assign(value, *args, **kwargs)
            return write(self, value)

    return MeshVariable
