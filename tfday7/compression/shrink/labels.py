"""What the rules say of a layer in terms of labels: its weights, its settings that count channels, its cost.

The labels of a tensor are, by axis, None (nothing can go along it) or the atom of each position. A layer's weights and
settings are said in the same words, so that slicing and masking need to know nothing about layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfday7.compression.shrink.atoms import Vector

Labels = list[Vector | None]
Keep = Callable[[Vector], np.ndarray]  # From labels to whether each position stays, bool.


@dataclasses.dataclass
class Weight:
    """How a variable is labelled.

    Attributes:
        variable: of the model.
        layer: the name of the layer that has it.
        axes: the label of each axis.
        consumed: axes along which the layer reads what another one made: the input side.
        produced: axes along which it makes channels.
        source: the tensor that the first consumed axis reads, and its axis; None where that is not one tensor.
    """

    variable: Any
    layer: str
    axes: Labels
    consumed: tuple[int, ...] = ()
    produced: tuple[int, ...] = ()
    source: tuple[Any, int] | None = None

    def sliced(self, value: np.ndarray, keep: Keep) -> np.ndarray:
        """Returns the value without what goes."""
        return chosen(value, self.axes, keep)

    def masked(self, value: np.ndarray, keep: Keep) -> np.ndarray:
        """Returns the value that ignores what goes: the input side is zero there."""
        for axis in self.consumed:
            label = self.axes[axis]
            if label is not None:
                shape = [1] * value.ndim
                shape[axis] = -1
                value = np.where(keep(label).reshape(shape), value, np.zeros((), value.dtype))
        return value


@dataclasses.dataclass(frozen=True)
class Count:
    """A number in a layer's settings or a call's arguments: of the positions that stay."""

    label: Vector


@dataclasses.dataclass(frozen=True)
class Chosen:
    """An array in settings or arguments, labelled by axis."""

    value: np.ndarray
    axes: Sequence[Vector | None]


@dataclasses.dataclass(frozen=True)
class Product:
    """A number of weights or of multiplications: a constant times the positions that stay along each label."""

    constant: int
    labels: tuple[Vector, ...]

    def value(self, keep: Keep) -> int:
        """Returns the number."""
        result = self.constant
        for label in self.labels:
            result *= int(np.count_nonzero(keep(label)))
        return result


def chosen(value: np.ndarray, axes: Sequence[Vector | None], keep: Keep) -> np.ndarray:
    """Returns the positions of an array that stay."""
    for axis, label in enumerate(axes):
        if label is not None:
            stays = keep(label)
            if not stays.all():
                value = np.compress(stays, value, axis=axis)
    return value


def resolve(nest: Any, keep: Keep) -> Any:
    """Returns settings or arguments with every `Count` and `Chosen` in them worked out."""
    if isinstance(nest, Count):
        return int(np.count_nonzero(keep(nest.label)))
    if isinstance(nest, Chosen):
        return chosen(nest.value, nest.axes, keep)
    if isinstance(nest, dict):
        return {key: resolve(value, keep) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)(resolve(value, keep) for value in nest)
    return nest


def counted(sizes: Sequence[Any], labels: Sequence[Vector | None]) -> list[Any]:
    """Returns sizes as settings: a `Count` along each labelled axis."""
    return [size if label is None else Count(label) for size, label in zip(sizes, labels, strict=True)]
