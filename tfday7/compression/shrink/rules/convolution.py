"""Convolutions of every kind, and what moves over pixels without weights: pooling, padding, cropping, enlarging."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Count, Labels
from tfday7.compression.shrink.visit import Shape, Visit, rule


def channel_axis(layer: Any, shape: Shape) -> int:
    """Returns the axis of the channels."""
    return 1 if getattr(layer, "data_format", "channels_last") == "channels_first" else len(shape) - 1


def sites(shape: Shape, axis: int) -> list[Any]:
    """Returns the sizes of the axes that are neither the batch's nor the channels'."""
    return [size for index, size in enumerate(shape) if index not in (0, axis)]


def _entering(visit: Visit) -> tuple[int, Labels]:
    axis = channel_axis(visit.layer, visit.shapes[0])
    return axis, visit.only(visit.inputs[0], axis, "moved over by")


def _leaving(visit: Visit, axis: int, label: Any) -> list[Labels]:
    labels: Labels = [None] * len(visit.outputs[0])
    labels[axis] = label
    visit.activated(getattr(visit.layer, "activation", None), labels, axis)
    return [labels]


@rule("Conv1D", "Conv2D", "Conv3D")
def _convolution(visit: Visit) -> list[Labels]:
    layer = visit.layer
    axis, labels = _entering(visit)
    incoming = labels[axis]
    out = visit.produce("filters", layer.filters, "channels")
    space: Labels = [None] * (len(layer.kernel.shape) - 2)
    if layer.groups > 1:
        _tie_groups(visit, incoming, out)
        visit.weight(layer.kernel, [*space, None, out], consumed=(-1,), produced=(-1,))
    else:
        visit.weight(layer.kernel, [*space, incoming, out], consumed=(-2,), produced=(-1,), source=(0, axis))
    visit.weight(layer.bias, [out])
    visit.set("filters", out)
    places = sites(visit.outputs[0], axis)
    visit.cost(places, [None] * len(places), layer.kernel)
    return _leaving(visit, axis, out)


def _tie_groups(visit: Visit, incoming: Any, out: Any) -> None:
    """Makes the channels of a group, in and out, one class: groups go as a whole."""
    groups = visit.layer.groups
    by_group = out.reshape(groups, -1)
    for position in range(1, by_group.shape[1]):
        visit.graph.atoms.union(by_group[:, 0], by_group[:, position])
    if incoming is None:
        visit.fix(out, "made from channels that cannot go, by groups, in")
        return
    entering = incoming.reshape(groups, -1)
    for position in range(entering.shape[1]):
        visit.graph.atoms.union(by_group[:, 0], entering[:, position])
    if by_group.shape[1] > 1 or entering.shape[1] > 1:
        visit.graph.atoms.call(out, "groups")
    visit.set("groups", Count(by_group[:, 0]))


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(visit: Visit) -> list[Labels]:
    layer = visit.layer
    axis, labels = _entering(visit)
    out = visit.produce("filters", layer.filters, "channels")
    space: Labels = [None] * (len(layer.kernel.shape) - 2)
    visit.weight(layer.kernel, [*space, out, labels[axis]], consumed=(-1,), produced=(-2,), source=(0, axis))
    visit.weight(layer.bias, [out])
    visit.set("filters", out)
    places = sites(visit.shapes[0], axis)
    visit.cost(places, [None] * len(places), layer.kernel)
    return _leaving(visit, axis, out)


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(visit: Visit) -> list[Labels]:
    axis, _ = _entering(visit)
    out = _depthwise_part(visit, axis)
    visit.weight(visit.layer.bias, [out])
    return _leaving(visit, axis, out)


@rule("SeparableConv1D", "SeparableConv2D")
def _separable(visit: Visit) -> list[Labels]:
    layer = visit.layer
    axis, _ = _entering(visit)
    between = _depthwise_part(visit, axis)
    out = visit.produce("filters", layer.filters, "channels")
    space: Labels = [None] * (len(layer.pointwise_kernel.shape) - 2)
    visit.weight(layer.pointwise_kernel, [*space, between, out], consumed=(-2,), produced=(-1,))
    visit.weight(layer.bias, [out])
    visit.set("filters", out)
    places = sites(visit.outputs[0], axis)
    visit.cost(places, [None] * len(places), layer.pointwise_kernel)
    return _leaving(visit, axis, out)


def _depthwise_part(visit: Visit, axis: int) -> Any:
    """Says the depthwise kernel, [..., channels, multiplier], and returns the label of what it makes."""
    kernel, label = visit.layer.depthwise_kernel, visit.inputs[0][axis]
    space: Labels = [None] * (len(kernel.shape) - 2)
    visit.weight(kernel, [*space, label, None])
    places = sites(visit.outputs[0], axis)
    visit.cost(places, [None] * len(places), kernel)
    return None if label is None else np.repeat(label, kernel.shape[-1])


@rule(
    *(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)),
    *(f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for rank in (1, 2, 3)),
    *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Resizing"),
)  # fmt: skip
def _pass_channels(visit: Visit) -> list[Labels]:
    return [_entering(visit)[1]]


@rule(*(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def _global_pooling(visit: Visit) -> list[Labels]:
    axis, labels = _entering(visit)
    return [labels if len(visit.outputs[0]) == len(labels) else [None, labels[axis]]]
