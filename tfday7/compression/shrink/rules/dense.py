"""Layers that multiply by a matrix: Dense, EinsumDense, Embedding."""

from __future__ import annotations

from typing import Any

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.visit import Visit, rule


@rule("Dense")
def _dense(visit: Visit) -> list[Labels]:
    layer, labels = visit.layer, visit.inputs[0]
    out = visit.produce("units", layer.units, "units")
    last = len(labels) - 1
    visit.weight(layer.kernel, [labels[-1], out], consumed=(0,), produced=(1,), source=(0, last))
    visit.weight(layer.bias, [out])
    visit.set("units", out)
    visit.cost(visit.outputs[0][1:-1], labels[1:-1], layer.kernel)
    result: Labels = [*labels[:-1], out]
    visit.activated(layer.activation, result)
    return [result]


@rule("Embedding")
def _embedding(visit: Visit) -> list[Labels]:
    layer = visit.layer
    visit.fix_all(visit.inputs[0], "looked up by")
    out = visit.produce("units", layer.output_dim, "units")
    visit.weight(layer.embeddings, [None, out], produced=(1,))
    visit.set("output_dim", out)
    return [[*([None] * (len(visit.outputs[0]) - 1)), out]]


@rule("EinsumDense")
def _einsum_dense(visit: Visit) -> list[Labels]:
    layer, labels = visit.layer, visit.inputs[0]
    found = einsum_letters(layer.equation, len(labels))
    if found is None or getattr(layer, "kernel", None) is None:
        return unknown(visit)
    (read, of_kernel), written = found
    known = dict(zip(read, labels, strict=True))
    for letter, size in zip(of_kernel, layer.kernel.shape, strict=True):
        if letter not in known:
            known[letter] = visit.produce(letter, size, "units")
    result: Labels = [known[letter] for letter in written]
    consumed = [axis for axis, letter in enumerate(of_kernel) if letter in read and letter not in written]
    produced = [axis for axis, letter in enumerate(of_kernel) if letter not in read]
    source = (0, read.index(of_kernel[consumed[0]])) if len(consumed) == 1 else None
    visit.weight(layer.kernel, [known[letter] for letter in of_kernel], consumed, produced, source)
    if layer.bias is not None:
        last = written[-len(layer.bias.shape) :]  # It has the last axes of the result, some of them of size 1.
        visit.weight(layer.bias, [known[letter] if letter in layer.bias_axes else None for letter in last])
    given = layer.partial_output_shape
    given = [given] if isinstance(given, int) else list(given)  # Without the axes of an ellipsis.
    front = len(result) - len(given) if layer.equation.startswith("...") else 1
    visit.set_sizes("output_shape", given, result[front : front + len(given)])
    summed = [letter for letter in read if letter not in of_kernel and letter not in written]
    _ignore(visit, [read.index(letter) for letter in summed])
    outside = [*[letter for letter in written if letter not in of_kernel][1:], *summed]
    sizes = dict(zip(read + written, visit.shapes[0] + visit.outputs[0], strict=True))
    visit.cost([sizes[letter] for letter in outside], [known[letter] for letter in outside], layer.kernel)
    visit.activated(layer.activation, result)
    return [result]


def _ignore(visit: Visit, axes: list[int]) -> None:
    """Says that the layer sums over axes of its input without weights; inside of another layer these must stay."""
    for axis in axes:
        label = visit.inputs[0][axis]
        if visit.path:
            visit.fix(label, "summed inside another layer by")
        elif label is not None:
            visit.ignore(visit.graph.symbolic(visit.call)[0], axis)


def einsum_letters(equation: str, rank: int) -> Any:
    """Returns the letters of the two operands and of the result, an ellipsis written out; None where it has no arrow.

    Args:
        equation: such as "...x,xy->...y".
        rank: of the first operand.
    """
    if "->" not in equation:
        return None
    left, written = equation.replace(" ", "").split("->")
    first, _, second = left.partition(",")
    if "..." in second:
        return None
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    dots = "".join(free[: rank - len(first.replace("...", ""))])
    first, written = (part.replace("...", dots) for part in (first, written))
    if len(first) != rank or len(set(first)) != rank:
        return None
    return (first, second), written
