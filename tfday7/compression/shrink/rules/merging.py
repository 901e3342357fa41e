"""Layers that bring tensors together: position by position, with broadcasting, or one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfday7.compression.shrink.atoms import Vector
from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.visit import Shape, Visit, rule


@rule("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
def _merge(visit: Visit) -> list[Labels]:
    rank = max(len(shape) for shape in visit.shapes)
    # Keras puts the missing axes behind the batch.
    labels = [[one[0], *[None] * (rank - len(one)), *one[1:]] for one in visit.inputs]
    shapes = [(shape[0], *[1] * (rank - len(shape)), *shape[1:]) for shape in visit.shapes]
    return [broadcast(visit, labels, shapes)]


@rule("CustomScaleLayer")
def _scaled_sum(visit: Visit) -> list[Labels]:
    return [broadcast(visit, visit.inputs, visit.shapes)]


def broadcast(visit: Visit, labels: Sequence[Labels], shapes: Sequence[Shape]) -> Labels:
    """Returns the labels of tensors joined position by position, as NumPy lines up their axes: from the last."""
    rank = max(len(shape) for shape in shapes)
    labels = [[*[None] * (rank - len(one)), *one] for one in labels]
    shapes = [(*[1] * (rank - len(shape)), *shape) for shape in shapes]
    return [
        _along(visit, [one[axis] for one in labels], [shape[axis] for shape in shapes]) if axis else None
        for axis in range(rank)
    ]


def _along(visit: Visit, labels: list[Vector | None], sizes: list[Any]) -> Vector | None:
    size = max((size for size in sizes if size is not None), default=None)
    for label, own in zip(labels, sizes, strict=True):
        if own == 1 and size != 1:
            visit.fix(label, "spread over many channels by")
    full = [label for label, own in zip(labels, sizes, strict=True) if own != 1 or size == 1]
    result = full[0]
    for label in full[1:]:
        if label is not result:
            result = visit.join(result, label)
    return result


@rule("Concatenate")
def _concatenate(visit: Visit) -> list[Labels]:
    return [concatenated(visit, visit.inputs, visit.shapes, visit.layer.axis)]


def concatenated(visit: Visit, labels: Sequence[Labels], shapes: Sequence[Shape], axis: int) -> Labels:
    """Returns the labels of tensors one behind the other along an axis."""
    axis %= len(labels[0])
    result: Labels = list(labels[0])
    for other in labels[1:]:
        for index in range(len(result)):
            if index != axis and other[index] is not result[index]:
                result[index] = visit.join(result[index], other[index])
    parts = [one[axis] for one in labels]
    sizes = [shape[axis] for shape in shapes]
    result[axis] = None
    if any(part is not None for part in parts):
        if None in sizes:
            for part in parts:
                visit.fix(part, "beside a part of open size in")
            return result
        whole = "beside what cannot go in"
        result[axis] = np.concatenate([
            visit.whole(size, whole) if part is None else part for part, size in zip(parts, sizes, strict=True)
        ])  # fmt: skip
    return result


@rule("Dot")
def _dot(visit: Visit) -> list[Labels]:
    axes = visit.layer.axes
    pair = list(axes) if isinstance(axes, (list, tuple)) else [axes, axes]
    first, second = visit.inputs
    one, other = pair[0] % len(first), pair[1] % len(second)
    if visit.layer.normalize:
        visit.fix_all((first[one], second[other]), "brought to length one by")
    tensors = visit.graph.symbolic(visit.call)
    if visit.path:
        return unknown(visit)
    contracted(visit, [(tensors[0], one, first[one]), (tensors[1], other, second[other])])
    left = [axis for axis in range(1, len(first)) if axis != one]
    right = [axis for axis in range(1, len(second)) if axis != other]
    result: Labels = [None, *(first[axis] for axis in left), *(second[axis] for axis in right)]
    sizes = [*(visit.shapes[0][axis] for axis in left), *(visit.shapes[1][axis] for axis in right)]
    visit.cost([*sizes, visit.shapes[0][one]], [*result[1:], first[one]])
    return [result if len(result) > 1 else [None, None]]


def contracted(visit: Visit, ends: Sequence[tuple[Any, int, Vector | None]]) -> Vector | None:
    """Joins axes over which products are summed: (tensor or None for a constant, axis, label); returns the label."""
    result = ends[0][2]
    for _, _, label in ends[1:]:
        if label is not result:
            result = visit.join(result, label, "multiplied with what cannot go in")
    if result is not None:
        tensor, axis, _ = ends[0]
        visit.ignore(tensor, axis)
    return result
