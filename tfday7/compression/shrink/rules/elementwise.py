"""Layers that treat each value by itself, in inference: what comes in labelled goes out labelled alike."""

from __future__ import annotations

import numpy as np

from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.rules.merging import broadcast
from tfday7.compression.shrink.visit import Visit, rule


@rule(
    *("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "GaussianNoise", "GaussianDropout", "ActivityRegularization"),
    *("Identity", "StochasticDepth"),
)  # fmt: skip
def _same(visit: Visit) -> list[Labels]:
    return [list(visit.inputs[0])]


@rule("Activation")
def _activation(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    visit.activated(visit.layer.activation, labels)
    return [labels]


@rule("Dropout", "AlphaDropout")
def _dropout(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    shape = visit.layer.noise_shape
    for axis, label in enumerate(labels if shape is not None else []):
        if shape[axis] not in (None, 1):
            visit.fix(label, "dropped by a pattern of a fixed size in")
    return [labels]


@rule("Softmax")
def _softmax(visit: Visit) -> list[Labels]:
    labels = broadcast(visit, visit.inputs, visit.shapes)  # A mask is added.
    axes = visit.layer.axis if isinstance(visit.layer.axis, (list, tuple)) else [visit.layer.axis]
    for axis in axes:
        visit.fix(labels[axis], "made to add up to one by")
    return [labels]


@rule("PReLU")
def _prelu(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    shared = visit.layer.shared_axes or []
    visit.weight(visit.layer.alpha, [None if axis in shared else labels[axis] for axis in range(1, len(labels))])
    return [labels]


@rule("Rescaling")
def _rescaling(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    if np.ndim(visit.layer.scale) or np.ndim(visit.layer.offset):
        visit.fix_all(labels, "scaled by numbers of its own for each channel in")
    return [labels]


@rule("LayerScale")
def _layer_scale(visit: Visit) -> list[Labels]:
    labels = list(visit.inputs[0])
    visit.weight(visit.layer.gamma, [labels[-1]])
    if labels[-1] is not None:
        visit.set("projection_dim", labels[-1])
    return [labels]


@rule("Masking")
def _masking(visit: Visit) -> list[Labels]:
    return unknown(visit, "what decides which steps count in")
