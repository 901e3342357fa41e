"""Copies weights from a layer to the one that was made from it, checking that both mean the same by them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tfday7.core.errors import UserError


def copy_weights(source: Any, target: Any) -> None:
    """Copies all weights of a layer, in order.

    Raises:
        UserError: number, names or shapes differ.
    """
    ours, theirs = model_weights(target), model_weights(source)
    if [_outline(v) for v in ours] != [_outline(v) for v in theirs]:
        raise UserError(
            f"layer {source.name!r} ({type(source).__name__}) has the weights {_describe(theirs)}, the layer made from "
            f"it has {_describe(ours)}",
            "a registered builder must return a layer with weights of the same shapes in the same order",
        )
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        value = np.asarray(theirs_one)
        if ours_one.dtype != theirs_one.dtype:
            value = value.astype(np.dtype(getattr(ours_one.dtype, "as_numpy_dtype", ours_one.dtype)))
        ours_one.assign(value)


def model_weights(layer: Any) -> list[Any]:
    """Returns a layer's weights without the states of its random generators, which no other Keras shares."""
    return [variable for variable in layer.weights if not is_seed_state(variable)]


def is_seed_state(variable: Any) -> bool:
    """Returns whether a variable is the state of a random generator."""
    path = getattr(variable, "path", variable.name)
    return "seed_generator" in path or "StateVar" in path


def _outline(variable: Any) -> tuple[int, ...]:
    return tuple(variable.shape)


def _describe(variables: list[Any]) -> str:
    parts = [f"{re.sub(r':0$', '', variable.name).split('/')[-1]} {tuple(variable.shape)}" for variable in variables]
    return ", ".join(parts) or "none"
