"""Copies weights from a layer to the one that was made from it, checking that both mean the same by them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.errors import UserError

_SEED_STATES = ("seed_generator_state", "StateVar")  # Keras 3's, also inside a kept layer, and TensorFlow's.


def copy_weights(source: Any, target: Any, changes: dict[int, Callable[[Any], Any]] | None = None) -> None:
    """Copies all weights of a layer: those of one name and shape in order, whatever order the others come in.

    The two Kerases list a composite layer's weights in different orders (one by layer, one the trainable ones first),
    but the weights that share a name, say the kernels of its parts, in the same order.

    Args:
        source: the layer to copy from.
        target: the layer to copy to.
        changes: from a weight's value to the value that the new layer needs to do the same, by the identity of the
            weight to copy from.

    Raises:
        UserError: number or shapes differ.
    """
    ours, theirs = model_weights(target), model_weights(source)
    by_name = _groups(ours), _groups(theirs)
    named = {key: len(group) for key, group in by_name[0].items()} == {k: len(g) for k, g in by_name[1].items()}
    if not named and [tuple(v.shape) for v in ours] != [tuple(v.shape) for v in theirs]:
        raise UserError(
            f"layer {source.name!r} ({type(source).__name__}) has the weights {_describe(theirs)}, the layer made from "
            f"it has {_describe(ours)}",
            "a registered builder must return a layer with weights of the same shapes in the same order",
        )
    if not named:
        by_name = {(): ours}, {(): theirs}
    for key, group in by_name[0].items():
        for ours_one, theirs_one in zip(group, by_name[1][key], strict=True):
            _assign(ours_one, theirs_one, (changes or {}).get(id(theirs_one)))
    if ours and type(target).__name__ == "Normalization":
        target.finalize_state()  # Both Kerases compute with a copy of the statistics, which this refreshes.


def _assign(target: Any, source: Any, change: Callable[[Any], Any] | None) -> None:
    value = np.asarray(source)
    if change is not None:
        value = change(value)
    if target.dtype != source.dtype:
        value = value.astype(np.dtype(getattr(target.dtype, "as_numpy_dtype", target.dtype)))
    target.assign(value)


def _groups(variables: list[Any]) -> dict[tuple[Any, ...], list[Any]]:
    found: dict[tuple[Any, ...], list[Any]] = {}
    for variable in variables:
        found.setdefault((_last_name(variable), tuple(variable.shape)), []).append(variable)
    return found


def model_weights(layer: Any) -> list[Any]:
    """Returns a layer's weights without the states of its random generators, which no other Keras shares."""
    if hasattr(layer, "paired_weights"):
        return list(layer.paired_weights)
    # tf_keras lists a vocabulary's handler among the weights, and the summary, of an open size, that a Discretization
    # finds its bins from; lookups.py carries the vocabulary and the bins.
    variables = [variable for variable in layer.weights if hasattr(variable, "assign") and not is_seed_state(variable)]
    return [variable for variable in variables if None not in tuple(variable.shape)]


def refresh(model: Any) -> None:
    """Makes the layers of a tf_keras model compute with the statistics that were read into their weights."""
    for layer in model._flatten_layers():
        if type(layer).__name__ in ("Discretization", "Normalization") and layer.built:
            layer.finalize_state()


def is_seed_state(variable: Any) -> bool:
    """Returns whether a variable is the state of a random generator, whatever the layer is called."""
    return _last_name(variable) in _SEED_STATES and "int" in str(variable.dtype)


def _last_name(variable: Any) -> str:
    return re.sub(r":\d+$", "", str(variable.name)).split("/")[-1]


def _describe(variables: list[Any]) -> str:
    return ", ".join(f"{_last_name(variable)} {tuple(variable.shape)}" for variable in variables) or "none"
