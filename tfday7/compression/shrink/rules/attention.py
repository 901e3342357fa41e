"""Attention layers. Of MultiHeadAttention whole heads go, and channels of what it returns."""

from __future__ import annotations

import inspect
from typing import Any

from tfday7.compression.shrink.labels import Count, Labels, counted
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.visit import Visit, rule
from tfday7.models.door.graph import TF_KERAS


@rule("MultiHeadAttention")
def _multi_head(visit: Visit) -> list[Labels]:
    layer = visit.layer
    if visit.path or len(layer._output_dense.kernel.shape) != 3:
        return unknown(visit)
    given = inspect.signature(layer.call).bind(*visit.call.args, **visit.call.kwargs).arguments
    query, value = given["query"], given["value"]
    key = given.get("key")
    roles = {"query": query, "key": value if key is None else key, "value": value}
    if not all(map(TF_KERAS.is_symbolic, roles.values())):
        return unknown(visit)
    heads = visit.produce("heads", layer._num_heads, "heads")
    for role, tensor in roles.items():
        labels = visit.only(visit.graph.labels[id(tensor)], -1, "attended over by")
        projection = getattr(layer, f"_{role}_dense")
        source = _position(visit, tensor)
        visit.weight(
            projection.kernel, [labels[-1], heads, None], (0,), (1,), (source, len(labels) - 1)
        )  # fmt: skip
        visit.weight(projection.bias, [heads, None])
        visit.set(f"{role}_shape", counted(list(tensor.shape), labels))
        visit.cost(tensor.shape[1:-1], [None] * (len(labels) - 2), projection.kernel)
    pairs = [*query.shape[1:-1], *(value.shape[axis] for axis in layer._attention_axes)]
    for size in (layer._key_dim, layer._value_dim):
        visit.cost([*pairs, layer._num_heads, size], [*[None] * len(pairs), heads, None])
    if _is_masked_by_head(layer, query, given.get("attention_mask")):
        visit.fix(heads, "masked each by its own in")
    for role in ("attention_mask", "query_mask", "value_mask", "key_mask"):
        if TF_KERAS.is_symbolic(given.get(role)):
            visit.fix_all(visit.graph.labels[id(given[role])], "the mask of")
    return _projected(visit, heads)


def _is_masked_by_head(layer: Any, query: Any, mask: Any) -> bool:
    """Returns whether a mask has an axis of heads, and not one of size 1, which all of them share."""
    attended = len(layer._attention_axes)
    scores = len(query.shape) + attended  # Axes: [batch, ..., heads, those of the query, those of the value].
    return mask is not None and len(mask.shape) == scores and mask.shape[-2 * attended - 1] != 1


def _projected(visit: Visit, heads: Any) -> list[Labels]:
    layer = visit.layer
    dense = layer._output_dense
    out = visit.produce("output", visit.outputs[0][-1], "channels")
    visit.weight(dense.kernel, [heads, None, out], consumed=(0,), produced=(2,))
    places = visit.outputs[0][1:-1]
    visit.cost(places, [None] * len(places), dense.kernel)
    visit.weight(dense.bias, [out])
    visit.set("num_heads", heads)
    visit.set("output_shape", Count(out))
    results: list[Labels] = [[*[None] * (len(visit.outputs[0]) - 1), out]]
    if len(visit.outputs) > 1:  # The scores: [batch, heads, ...].
        results.append([None, heads, *[None] * (len(visit.outputs[1]) - 2)])
    return results


def _position(visit: Visit, tensor: Any) -> int:
    tensors = visit.graph.symbolic(visit.call)
    return next(index for index, one in enumerate(tensors) if one is tensor)


@rule("Attention", "AdditiveAttention")
def _dot_product(visit: Visit) -> list[Labels]:
    """Values pass; queries and keys are compared as a whole."""
    query, value = visit.inputs[:2]
    if visit.path or len(visit.outputs) > 1 or len(visit.inputs) != len(visit.call.args[0]):  # A mask is one more.
        return unknown(visit)
    visit.fix_all(query, "compared as a whole by")
    visit.fix_all(visit.inputs[2] if len(visit.inputs) == 3 else value, "compared as a whole by")
    visit.fix_all(value[:-1], "attended over by")
    pairs = [*visit.shapes[0][1:-1], visit.shapes[1][-2]]
    products = [(visit.shapes[-1][-1], None), (visit.shapes[1][-1], value[-1])]
    if type(visit.layer).__name__ == "AdditiveAttention":
        if visit.layer.use_scale:  # It has one number for each of the values' channels, and multiplies the keys by it.
            visit.fix_all(value, "compared as a whole by")
        else:
            del products[0]  # What is compared is added, not multiplied.
    for size, label in products:
        visit.cost([*pairs, size], [*[None] * len(pairs), label])
    return [[*[None] * (len(visit.outputs[0]) - 1), value[-1]]]
