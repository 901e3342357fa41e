"""TensorFlow functions that sum products of two tensors: matrix products and einsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.dense import einsum_letters
from tfday7.compression.shrink.rules.merging import broadcast, contracted
from tfday7.compression.shrink.rules.operations import Given, is_tensor, labels_of, operation
from tfday7.compression.shrink.visit import Visit


@operation("linalg.matmul", "__operators__.matmul")
def matmul(visit: Visit, given: Given) -> list[Labels]:
    """Returns the labels of a matrix product of the first two arguments."""
    first, second = list(given.values())[:2]
    ranks = [len(one.shape) if is_tensor(one) else np.ndim(one) for one in (first, second)]
    if min(ranks) < 2 or any(given.get(name) for name in ("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse")):
        return unknown(visit)
    turned = [bool(given.get(name)) for name in ("transpose_a", "transpose_b")]
    if not (is_tensor(first) and is_tensor(second)):
        return _matmul_constant(visit, first, second, turned[0])
    labels = [list(labels_of(visit, one)) for one in (first, second)]
    axes = [(rank - 1, rank - 2) if swap else (rank - 2, rank - 1) for rank, swap in zip(ranks, turned, strict=True)]
    shapes = [tuple(one.shape) for one in (first, second)]
    inner = (axes[0][1], axes[1][0])
    summed = contracted(visit, [(first, inner[0], labels[0][inner[0]]), (second, inner[1], labels[1][inner[1]])])
    batch = broadcast(visit, [one[:-2] for one in labels], [shape[:-2] for shape in shapes]) if max(ranks) > 2 else []
    result = [*batch, labels[0][axes[0][0]], labels[1][axes[1][1]]]
    visit.cost([*visit.outputs[0][1:], shapes[0][inner[0]]], [*result[1:], summed])
    return [result]


def _matmul_constant(visit: Visit, first: Any, second: Any, turned: bool) -> list[Labels]:
    """A constant matrix on the right, say of a projection: its rows must stay, and what it makes is whole."""
    if not is_tensor(first) or np.ndim(second) != 2:
        return unknown(visit)
    *batch, rows, columns = labels_of(visit, first)
    kept, summed = (columns, rows) if turned else (rows, columns)
    visit.fix(summed, "multiplied by a constant in")
    result = [*batch, kept, None]
    visit.cost([*visit.outputs[0][1:], np.shape(second)[0]], [*result[1:], None])
    return [result]


@operation("einsum")
def _einsum(visit: Visit, given: Given) -> list[Labels]:
    operands = list(given["inputs"])
    if len(operands) != 2 or not all(is_tensor(one) for one in operands):
        return unknown(visit)
    return einsum(visit, given["equation"], operands)


def einsum(visit: Visit, equation: str, operands: list[Any]) -> list[Labels]:
    """Returns the labels of a sum of products of two tensors."""
    found = einsum_letters(equation, len(operands[0].shape))
    if found is None or "..." in found[0][1] or len(set(found[0][1])) != len(found[0][1]):
        return unknown(visit)
    letters, written = found
    ends: dict[str, list[tuple[Any, int, Any]]] = {}
    for one, names in zip(operands, letters, strict=True):
        for axis, letter in enumerate(names):
            ends.setdefault(letter, []).append((one, axis, labels_of(visit, one)[axis]))
    known: dict[str, Any] = {}
    summed: list[tuple[Any, Any]] = []  # Sizes and labels.
    for letter, places in ends.items():
        if letter not in written:
            tensor, axis, _ = places[0]
            summed.append((tensor.shape[axis], contracted(visit, places)))
        else:
            known[letter] = places[0][2]
            for _, _, label in places[1:]:
                if label is not known[letter]:
                    known[letter] = visit.join(known[letter], label)
    result = [known[letter] for letter in written]
    visit.cost(
        [*visit.outputs[0][1:], *(size for size, _ in summed)], [*result[1:], *(label for _, label in summed)]
    )  # fmt: skip
    return [result]
