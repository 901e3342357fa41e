"""TensorFlow functions that arrange values anew: join, cut, reshape, turn and repeat."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Count, Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.merging import broadcast, concatenated
from tfday7.compression.shrink.rules.operations import Given, axes_of, fix_shapes, is_tensor, labels_of, operation
from tfday7.compression.shrink.rules.reshaping import reshaped
from tfday7.compression.shrink.visit import Visit


@operation("concat")
def _concat(visit: Visit, given: Given) -> list[Labels]:
    if not all(is_tensor(one) for one in given["values"]) or is_tensor(given["axis"]):
        return unknown(visit)
    return [concatenated(visit, visit.inputs, visit.shapes, int(given["axis"]))]


@operation("stack")
def _stack(visit: Visit, given: Given) -> list[Labels]:
    if not all(is_tensor(one) for one in given["values"]):
        return unknown(visit)
    return stacked(visit, given["axis"])


def stacked(visit: Visit, axis: int) -> list[Labels]:
    """Returns the labels of tensors joined along a new axis."""
    labels = broadcast(visit, visit.inputs, visit.shapes)
    axis %= len(labels) + 1
    return [[*labels[:axis], None, *labels[axis:]]]


@operation("split")
def _split(visit: Visit, given: Given) -> list[Labels]:
    labels, sizes = visit.inputs[0], given["num_or_size_splits"]
    axis = int(given["axis"]) % len(labels)
    label = labels[axis]
    if label is None:
        return [list(labels) for _ in visit.outputs]
    lengths = [shape[axis] for shape in visit.outputs]
    parts = np.split(label, np.cumsum(lengths)[:-1])
    if not isinstance(sizes, (int, list, tuple)):
        return unknown(visit)
    visit.graph.atoms.parts.extend(parts)
    visit.rewrite("num_or_size_splits", [Count(part) for part in parts])
    return [[*labels[:axis], part, *labels[axis + 1 :]] for part in parts]


@operation("reshape")
def _reshape(visit: Visit, given: Given) -> list[Labels]:
    labels = labels_of(visit, given["tensor"])
    shape, target = tuple(given["tensor"].shape), visit.outputs[0]
    sizes = given["shape"]
    if is_tensor(sizes) or len(target) != len(list(sizes)):
        visit.fix_all(labels, "reshaped to sizes that are computed, by")
        return [[None] * len(target)]
    result = reshaped(visit, labels, shape, target)
    if any(label is not None for label in result):
        visit.rewrite("shape", [
            Count(label) if label is not None else size for label, size in zip(result, list(sizes), strict=True)
        ])  # fmt: skip
    return [result]


@operation("transpose")
def _transpose(visit: Visit, given: Given) -> list[Labels]:
    labels = visit.inputs[0]
    order = given["perm"] if given["perm"] is not None else range(len(labels))[::-1]
    return [[labels[int(axis)] for axis in order]]


@operation("expand_dims")
def _expand(visit: Visit, given: Given) -> list[Labels]:
    return expanded(visit, int(given["axis"]))


def expanded(visit: Visit, axis: int) -> list[Labels]:
    """Returns the labels of a tensor with a new axis."""
    labels = visit.inputs[0]
    axis %= len(labels) + 1
    return [[*labels[:axis], None, *labels[axis:]]]


@operation("squeeze")
def _squeeze(visit: Visit, given: Given) -> list[Labels]:
    return squeezed(visit, given["axis"])


def squeezed(visit: Visit, given: Any) -> list[Labels]:
    """Returns the labels of a tensor without axes of size 1: the given ones, or all of them."""
    labels, shape = visit.inputs[0], visit.shapes[0]
    axes = axes_of(given, len(labels), [axis for axis, size in enumerate(shape) if size == 1])
    visit.fix_all([labels[axis] for axis in axes], "squeezed by")
    return [[label for axis, label in enumerate(labels) if axis not in axes]]


@operation("tile")
def _tile(visit: Visit, given: Given) -> list[Labels]:
    multiples = given["multiples"]
    if is_tensor(multiples) or any(is_tensor(one) for one in multiples):
        return unknown(visit)
    return [
        [
            label if label is None else np.tile(label, int(times))
            for label, times in zip(visit.inputs[0], multiples, strict=True)
        ]
    ]


@operation("pad")
def _pad(visit: Visit, given: Given) -> list[Labels]:
    if is_tensor(given["paddings"]):
        return unknown(visit)
    labels = list(visit.inputs[0])
    for axis, pair in enumerate(np.asarray(given["paddings"])):
        if pair.any():
            visit.fix(labels[axis], "padded by")
    return [labels]


@operation("__operators__.getitem")
def _getitem(visit: Visit, given: Given) -> list[Labels]:
    tensor, key = list(given.values())[:2]
    name = list(given)[1]
    parts = list(key) if isinstance(key, (list, tuple)) else [key]
    read = visit.graph.shapes.get(id(tensor))
    if read is not None:
        if len(parts) == 1 and isinstance(parts[0], int) and read[parts[0]] is None:
            return [[None] * len(visit.outputs[0])]
        fix_shapes(visit)
        return unknown(visit)
    found = sliced(visit, labels_of(visit, tensor), parts, tuple(tensor.shape))
    if found is None:
        return unknown(visit)
    labels, rewritten = found
    if rewritten is not None:
        visit.rewrite(name, rewritten)
    return [labels]


def sliced(visit: Visit, labels: Labels, parts: list[Any], shape: tuple[Any, ...]) -> Any:
    """Returns the labels of a slice, and the key that means the same of the smaller tensor where it changes.

    Args:
        visit: the call.
        labels: of the tensor.
        parts: the key: numbers, slices (or dicts of their three numbers), ... and None for new axes.
        shape: of the tensor.
    """
    if any(is_tensor(one) or (isinstance(one, dict) and any(is_tensor(v) for v in one.values())) for one in parts):
        return None
    new = sum(1 for part in parts if part is None)
    dots = sum(1 for part in parts if part is ...)
    if dots > 1 or any(isinstance(part, (np.ndarray, list)) for part in parts):
        return None
    everything = {"start": None, "stop": None, "step": None}
    missing = len(labels) - (len(parts) - new - dots)
    position = next((index for index, part in enumerate(parts) if part is ...), len(parts))
    full = [*parts[:position], *[everything] * missing, *parts[position + 1 :]]
    result: Labels = []
    key: list[Any] = []
    axis, changed = 0, False
    for part in full:
        if part is None:
            result.append(None)
            key.append(None)
            continue
        label, size = labels[axis], shape[axis]
        axis += 1
        if not isinstance(part, (dict, slice)):
            visit.fix(label, "picked by number in")
            key.append(part)
            continue
        ends = part if isinstance(part, dict) else {"start": part.start, "stop": part.stop, "step": part.step}
        if label is None or all(value is None for value in ends.values()):
            result.append(label)
            key.append(part)
            continue
        taken = slice(ends["start"], ends["stop"], ends["step"])
        start, stop, step = taken.indices(size)
        if step != 1:
            visit.fix(label, "picked by number in")
        else:
            part, changed = {"start": Count(label[:start]), "stop": Count(label[:stop]), "step": None}, True
        visit.graph.atoms.parts.append(label[taken])
        result.append(label[taken])
        key.append(part)
    return result, (key if changed else None)
