"""Follows a split through a model's graph: which dimension of which tensor is divided, and which layers end it.

A layer by columns gives outputs whose last dimension is divided. They may pass through whatever treats the parts apart
(elementwise functions, reshaping into heads and back, attention within a head) until a layer by rows multiplies them
and the parts are added up: Megatron's pair, with one all-reduce (Shoeybi et al., 2019, arXiv:1909.08053, section 3).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf

ELEMENTWISE = (
    "linear", "relu", "relu6", "elu", "selu", "gelu", "tanh", "sigmoid", "hard_sigmoid", "swish", "silu", "softplus",
    "softsign", "exponential", "mish", "leaky_relu",
)  # fmt: skip
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


class Blocked(Exception):  # noqa: N818 - the end of a search, not an error.
    """The split cannot go on.

    Args:
        reason: which layer stops it, and why.
        heads: the number of parts that a Reshape makes, where it is that number which cannot be divided.
    """

    def __init__(self, reason: str, heads: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.heads = heads


@dataclasses.dataclass(frozen=True)
class Graph:
    """A functional model's calls of layers, in the order of computation."""

    nodes: tuple[Any, ...]
    outputs: frozenset[int]

    @classmethod
    def of(cls, model: Any) -> Graph:
        """Returns the graph of a tf_keras functional model."""
        by_depth = model._nodes_by_depth
        nodes = (node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth])
        return cls(tuple(node for node in nodes if not node.is_input), frozenset(map(_key, model.outputs)))

    def calls(self, layer: Any) -> list[Any]:
        """Returns the nodes of a layer."""
        return [node for node in self.nodes if node.layer is layer]

    def inputs(self, layer: Any) -> tuple[int, ...]:
        """Returns the keys of the tensors that a layer, called once, takes."""
        (node,) = self.calls(layer)
        return tuple(map(_key, node.keras_inputs))

    def after(self, layer: Any) -> list[Any]:
        """Returns all layers that depend on a layer's outputs."""
        reached = {_key(output) for node in self.calls(layer) for output in _outputs(node)}
        found = []
        for node in self.nodes:
            if any(_key(tensor) in reached for tensor in node.keras_inputs):
                reached.update(map(_key, _outputs(node)))
                found.append(node.layer)
        return found


def ends(graph: Graph, starts: Collection[Any], parts: int, able: Collection[Any]) -> list[Any]:
    """Returns the Dense layers by rows at which a split that begins at these layers ends.

    Args:
        graph: of the model.
        starts: Dense layers by columns, each called once.
        parts: devices along the axis "model".
        able: the Dense layers that may be by rows.

    Raises:
        Blocked: the split reaches a layer that needs the whole tensor, or the model's output.
    """
    split: dict[int, int] = {}
    found = []
    for node in graph.nodes:
        if node.layer in starts:
            if not is_elementwise(node.layer.activation):
                raise Blocked(f"the activation of {node.layer.name} takes its output whole")
            split[_key(_outputs(node)[0])] = len(_outputs(node)[0].shape) - 1
            continue
        dimensions = [split.get(_key(tensor)) for tensor in node.keras_inputs]
        if all(dimension is None for dimension in dimensions):
            continue
        if isinstance(node.layer, keras.layers.Dense):
            if node.layer not in able or dimensions != [len(node.keras_inputs[0].shape) - 1]:
                raise Blocked(f"{node.layer.name} takes the output whole")
            found.append(node.layer)
            continue
        split[_key(_outputs(node)[0])] = _through(node, dimensions, parts)
    if any(key in graph.outputs for key in split):
        raise Blocked("the output is one of the model's")
    return found


def is_elementwise(activation: Any) -> bool:
    """Returns whether an activation function treats every number apart."""
    return getattr(activation, "__name__", "") in ELEMENTWISE and activation is getattr(
        keras.activations, activation.__name__, None
    )


def _through(node: Any, dimensions: Sequence[int | None], parts: int) -> int:
    """Returns the divided dimension of a node's output; raises Blocked."""
    layer = node.layer
    kind = type(layer).__name__
    tensors = node.keras_inputs
    if kind in MERGES or (kind == "TFOpLambda" and layer.symbol == "linalg.matmul"):
        return _together(layer, tensors, dimensions, kind in MERGES)
    dimension = dimensions[0]
    if len(tensors) != 1 or dimension is None or len(_outputs(node)) != 1:
        raise Blocked(f"{layer.name} ({kind}) takes the output whole")
    if isinstance(layer, (keras.layers.Reshape, keras.layers.Flatten)):
        return _reshaped(layer, tuple(tensors[0].shape), tuple(_outputs(node)[0].shape), dimension, parts)
    if isinstance(layer, keras.layers.Permute):
        return 1 + layer.dims.index(dimension)
    if isinstance(layer, keras.layers.Softmax):
        axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
        passes = all(axis % len(tensors[0].shape) != dimension for axis in axes)
    elif isinstance(layer, keras.layers.Rescaling):
        passes = all(np.ndim(each) == 0 for each in (layer.scale, layer.offset))
    elif isinstance(layer, keras.layers.Activation):
        passes = is_elementwise(layer.activation)
    else:
        passes = isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.Dropout))
    if not passes:
        raise Blocked(f"{layer.name} ({kind}) takes the output whole")
    return dimension


def _together(layer: Any, tensors: Sequence[Any], dimensions: Sequence[int | None], elementwise: bool) -> int:
    """Returns the divided dimension of a sum or a product of matrices."""
    named = {dimension for dimension in dimensions if dimension is not None}
    ranks = {len(tensor.shape) for tensor in tensors}
    if len(named) != 1 or len(ranks) != 1:
        raise Blocked(f"{layer.name} takes tensors that are not split alike")
    (dimension,), (rank,) = named, ranks
    for tensor, own in zip(tensors, dimensions, strict=True):
        if own is None and not (elementwise and tensor.shape[dimension] == 1):
            raise Blocked(f"{layer.name} takes a split tensor and a whole one")
    if not elementwise and (len(tensors) != 2 or dimension >= rank - 2):
        raise Blocked(f"{layer.name} multiplies along the split")
    return dimension


def _reshaped(layer: Any, before: tuple[int, ...], after: tuple[int, ...], dimension: int, parts: int) -> int:
    """Returns where a divided dimension goes: it must lead what it is merged into or divided into."""
    ahead, size = math.prod(before[1:dimension]), before[dimension]
    for target in range(1, len(after)):
        if math.prod(after[1:target]) != ahead or (after[target] == 1 and size != 1):
            continue
        if after[target] % size and size % after[target]:
            break
        if after[target] % parts:
            raise Blocked(f"{layer.name} makes {after[target]} parts of it", heads=after[target])
        return target
    raise Blocked(f"{layer.name} mixes the parts")


def _outputs(node: Any) -> list[Any]:
    return tf.nest.flatten(node.outputs)


def _key(tensor: Any) -> int:
    return id(tensor)
