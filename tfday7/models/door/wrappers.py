"""Layers that hold layers: wrappers, recurrent layers around cells, bidirectional ones."""

from __future__ import annotations

from typing import Any

from tfday7.models.door.graph import KERAS3
from tfday7.models.door.rules import incoming, outgoing


@incoming("TimeDistributed", "SpectralNormalization")
@outgoing("TimeDistributed", "SpectralNormalization")
def _wrapper(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(layer, replace={"layer": rebuild.inner(layer.layer)})


@incoming("Bidirectional")
@outgoing("Bidirectional")
def _bidirectional(layer: Any, rebuild: Any) -> Any:
    forward, backward = rebuild.inner(layer.forward_layer), None
    if not _mirrored(layer):
        backward = rebuild.inner(layer.backward_layer)
    for one, prefix in ((forward, "forward_"), (backward, "backward_")):
        if one is not None:  # Both Kerases put the prefix before the name of what they are given.
            _rename(one, one.name.removeprefix(prefix), rebuild)
    return rebuild.same(layer, replace={"layer": forward, "backward_layer": backward})


@incoming("RNN")
@outgoing("RNN")
def _recurrent(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(layer, replace={"cell": rebuild.inner(layer.cell)})


@incoming("StackedRNNCells")
@outgoing("StackedRNNCells")
def _stacked_cells(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(
        layer, drop=("activity_regularizer",), replace={"cells": [rebuild.inner(c) for c in layer.cells]}
    )


def _mirrored(layer: Any) -> bool:
    """Returns whether the backward layer is the forward one, turned round: what a Keras makes when given one layer."""
    forward, backward = layer.forward_layer.get_config(), layer.backward_layer.get_config()
    for config in (forward, backward):
        config.pop("name")
    return {**forward, "go_backwards": not forward["go_backwards"]} == backward


def _rename(layer: Any, name: str, rebuild: Any) -> None:
    if rebuild.target is KERAS3:
        layer.name = name
    else:
        layer._name = name
