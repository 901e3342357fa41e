"""Which layers of a model are its heads: of several targets, each may have one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TOGETHER = "tfday7_together"  # The layer that joins the outputs of several targets; see `building`.


def heads(model: Any, layers: Sequence[Any]) -> list[Any]:
    """Returns the layers that end the model: the last one, or where outputs are joined the last before each of them.

    Args:
        model: a tf_keras model.
        layers: those that count, in the model's order; they may be inside its layers.
    """
    together = next((layer for layer in model.layers if layer.name == TOGETHER), None)
    if together is None:
        return list(layers[-1:])
    found: dict[int, Any] = {}
    for tensor in together.inbound_nodes[0].keras_inputs:
        inside = {id(inner) for layer in _before(tensor) for inner in layer._flatten_layers()}
        found |= {id(layer): layer for layer in [layer for layer in layers if id(layer) in inside][-1:]}
    return list(found.values())


def _before(tensor: Any) -> list[Any]:
    """Returns all layers that a tensor of a functional model is computed by, each once."""
    found: dict[int, Any] = {}
    seen, left = set(), [tensor]
    while left:
        made = left.pop()._keras_history
        found[id(made.layer)] = made.layer
        if (id(made.layer), made.node_index) not in seen:
            seen.add((id(made.layer), made.node_index))
            left += made.layer.inbound_nodes[made.node_index].keras_inputs
    return list(found.values())
