"""Layers that arrange values anew: flatten, reshape, permute, repeat.

Axes that become one: the labels of the one that has any, repeated along the others. An axis that becomes several: where
its labels repeat along one part, the other part has them; where they do not, they are tied together until they do. The
outer part is the unit then (a projection that becomes heads), unless pixels are meant (a Dense layer whose outputs a
convolution takes for an image): then the last part is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfday7.compression.shrink.atoms import Vector
from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.visit import Shape, Visit, rule

_OF_PIXELS = (
    "Conv",
    "DepthwiseConv",
    "SeparableConv",
    "MaxPooling",
    "AveragePooling",
    "UpSampling",
    "BatchNormalization",
)
_THROUGH = ("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Dropout", "ZeroPadding2D", "ZeroPadding1D")


@rule("Flatten")
def _flatten(visit: Visit) -> list[Labels]:
    labels, shape = list(visit.inputs[0]), visit.shapes[0]
    if visit.layer.data_format == "channels_first" and len(shape) > 2:
        labels, shape = [labels[0], *labels[2:], labels[1]], (shape[0], *shape[2:], shape[1])
    return [reshaped(visit, labels, shape, visit.outputs[0])]


@rule("Reshape")
def _reshape(visit: Visit) -> list[Labels]:
    labels = reshaped(visit, visit.inputs[0], visit.shapes[0], visit.outputs[0])
    visit.set_sizes("target_shape", visit.layer.target_shape, labels[1:])
    return [labels]


@rule("Permute")
def _permute(visit: Visit) -> list[Labels]:
    labels = visit.inputs[0]
    return [[labels[0], *(labels[axis] for axis in visit.layer.dims)]]


@rule("RepeatVector")
def _repeat(visit: Visit) -> list[Labels]:
    return [[None, None, visit.inputs[0][1]]]


def reshaped(visit: Visit, labels: Labels, shape: Shape, target: Shape) -> Labels:
    """Returns the labels after a reshape of a tensor of one known shape into another.

    Open sizes are followed as long as the axes beside them stay as they are; otherwise everything must stay whole.
    """
    if all(label is None for label in labels):
        return [None] * len(target)
    blocks = _blocks(list(shape), list(target))
    if blocks is None:
        visit.fix_all(labels, "reshaped together with open sizes by")
        return [None] * len(target)
    result: Labels = [None] * len(target)
    followed = {axis for incoming, _ in blocks for axis in incoming}
    visit.fix_all([label for axis, label in enumerate(labels) if axis not in followed], "reshaped by")
    for incoming, outgoing in blocks:
        sizes = [target[axis] for axis in outgoing]
        flat = _merged(visit, [labels[axis] for axis in incoming], [shape[axis] for axis in incoming])
        if flat is not None:
            axis, label = _split(visit, flat.reshape(sizes))
            result[outgoing[axis]] = label
    return result


def _blocks(shape: list[Any], target: list[Any]) -> list[tuple[list[int], list[int]]] | None:
    """Returns the smallest runs of axes whose products agree: those that become each other. None for open sizes."""
    front, blocks = 0, []
    while front < min(len(shape), len(target)) and shape[front] == target[front]:
        blocks.append(([front], [front]))
        front += 1
    if None in shape[front:] or None in target[front:]:
        return _blocks_from_behind(shape, target)
    i = j = front
    while i < len(shape) or j < len(target):
        ours, theirs = [i] if i < len(shape) else [], [j] if j < len(target) else []
        i, j = i + len(ours), j + len(theirs)
        while _size(shape, ours) != _size(target, theirs) or not (ours and theirs):
            if (_size(shape, ours) < _size(target, theirs) or not ours or j >= len(target)) and i < len(shape):
                ours.append(i)
                i += 1
            elif j < len(target):
                theirs.append(j)
                j += 1
            else:
                break
        if not theirs or not ours:  # Axes of size 1 at the end that come or go.
            if not blocks:
                return None
            blocks[-1][0].extend(ours)
            blocks[-1][1].extend(theirs)
        else:
            blocks.append((ours, theirs))
    return blocks


def _blocks_from_behind(shape: list[Any], target: list[Any]) -> list[tuple[list[int], list[int]]] | None:
    """Returns the axes that are the same at the end; what lies before them is not followed."""
    same = 0
    while same < min(len(shape), len(target)) - 1 and shape[-1 - same] == target[-1 - same] is not None:
        same += 1
    if not same:
        return None
    return [([len(shape) - 1 - k], [len(target) - 1 - k]) for k in range(same)]


def _size(sizes: list[Any], axes: list[int]) -> int:
    return math.prod(sizes[axis] for axis in axes)


def _merged(visit: Visit, labels: Labels, sizes: list[Any]) -> Vector | None:
    """Returns the label of axes that become one: of several labelled ones the longest; the others must stay."""
    labelled = [axis for axis, label in enumerate(labels) if label is not None]
    if not labelled:
        return None
    kept = max(labelled, key=lambda axis: sizes[axis])
    for axis in labelled:
        if axis != kept:
            visit.fix(labels[axis], "reshaped together with another axis by")
    shape = [1] * len(sizes)
    shape[kept] = -1
    label = labels[kept]
    return None if label is None else np.broadcast_to(label.reshape(shape), sizes).ravel()


def _split(visit: Visit, atoms: np.ndarray) -> tuple[int, Vector]:
    """Returns the axis that gets the labels, and them; ties what does not repeat along the others."""
    if atoms.ndim == 1:
        return 0, atoms
    roots = visit.graph.atoms.roots(atoms)
    long = [axis for axis, size in enumerate(atoms.shape) if size > 1]
    for axis in long:
        first = np.take(roots, [0], axis=axis)
        others = tuple(one for one in range(roots.ndim) if one != axis)
        along = roots.min(axis=others, keepdims=True)
        if (roots == along).all() and not (roots == first).all():
            return axis, _line(atoms, axis)
    if not long:
        return atoms.ndim - 1, _line(atoms, atoms.ndim - 1)
    axis = long[-1] if _pixels_follow(visit) else long[0]
    line = _line(atoms, axis)
    rows = np.moveaxis(atoms, axis, 0).reshape(len(line), -1)
    for column in range(rows.shape[1]):
        visit.graph.atoms.union(line, rows[:, column])
    if axis != long[-1]:
        visit.graph.atoms.call(line, "heads")
    return axis, line


def _line(atoms: np.ndarray, axis: int) -> Vector:
    return np.moveaxis(atoms, axis, 0).reshape(atoms.shape[axis], -1)[:, 0].copy()


def _pixels_follow(visit: Visit) -> bool:
    waiting = list(visit.call.outputs)
    while waiting:
        for call in visit.graph.consumers.get(id(waiting.pop()), []):
            kind = type(call.layer).__name__
            if kind.startswith(_OF_PIXELS):
                return True
            if kind in _THROUGH:
                waiting.extend(call.outputs)
    return False
