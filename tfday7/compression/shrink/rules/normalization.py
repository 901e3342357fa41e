"""Normalization: by statistics of each channel, which go with it, or of the channels together, which then must stay."""

from __future__ import annotations

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.visit import Visit, rule


def _axes(visit: Visit) -> list[int]:
    axis = visit.layer.axis
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    return [one % len(visit.inputs[0]) for one in axes]


@rule("BatchNormalization", "SyncBatchNormalization")
def _batch_normalization(visit: Visit) -> list[Labels]:
    labels, axes = list(visit.inputs[0]), _axes(visit)
    if len(axes) != 1:
        return unknown(visit, "normalized along several axes by")
    for variable in visit.layer.weights:
        visit.weight(variable, [labels[axes[0]]] if len(variable.shape) == 1 else [])
    return [labels]


@rule("LayerNormalization", "UnitNormalization")
def _over_channels(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    for axis in _axes(visit):
        visit.fix(labels[axis], "normalized together by")
    return [labels]


@rule("GroupNormalization")
def _group_normalization(visit: Visit) -> list[Labels]:
    return unknown(visit, "normalized together by")


@rule("Normalization")
def _normalization(visit: Visit) -> list[Labels]:
    return unknown(visit, "standardized by numbers of its own for each channel in")
