"""Which variables of a model are matrices of hidden layers: what Muon's orthogonal updates are meant for.

Kernels of dense layers, convolutions, attention projections and recurrent cells, but not embeddings, depthwise kernels
(they map no space to another) nor the last layer, or those of several targets (Jordan et al., 2024,
kellerjordan.github.io/posts/muon).
"""

from __future__ import annotations

import math
from typing import Any

from tfday7.core.frameworks import keras
from tfday7.models.heads import heads


def hidden_matrices(model: Any) -> list[tuple[Any, tuple[int, int]]]:
    """Returns (variable, (rows, columns)) of each; a kernel of higher rank is seen as a map of inputs to outputs.

    Args:
        model: a built tf_keras model; the last of its layers with such a kernel counts as its output; see `heads`.
    """
    layers = [layer for layer in model._flatten_layers(include_self=False, recursive=True) if _matrices(layer)]
    ends = {id(layer) for layer in heads(model, layers)}
    return [matrix for layer in layers if id(layer) not in ends for matrix in _matrices(layer)]


def _matrices(layer: Any) -> list[tuple[Any, tuple[int, int]]]:
    kinds = keras.layers
    if isinstance(layer, kinds.DepthwiseConv1D | kinds.DepthwiseConv2D):
        return []
    if isinstance(layer, kinds.SimpleRNNCell | kinds.GRUCell | kinds.LSTMCell):
        return [(each, _split(each.shape, 1)) for each in (layer.kernel, layer.recurrent_kernel)]
    if isinstance(layer, kinds.EinsumDense):
        inputs, kernel, output = layer.equation.replace("->", ",").split(",")
        contracted = sum(letter in inputs and letter not in output for letter in kernel)
        return [(layer.kernel, _split(layer.kernel.shape, contracted))]
    if isinstance(layer, kinds.Dense | kinds.Conv1D | kinds.Conv2D | kinds.Conv3D) and not isinstance(
        layer, kinds.Conv1DTranspose | kinds.Conv2DTranspose | kinds.Conv3DTranspose
    ):
        return [(layer.kernel, _split(layer.kernel.shape, layer.kernel.shape.rank - 1))]
    return []


def _split(shape: Any, rows: int) -> tuple[int, int]:
    """Returns the sizes before and after a position."""
    return math.prod(shape[:rows]), math.prod(shape[rows:])
