"""Weights that an operation reads beside the layer that has them: tf.matmul(x, embedding.embeddings, transpose_b=True).

tf_keras records the variable among the arguments of the call. A rebuilt model has to read its own; a Keras file has no
word for it: tf_keras does not write such a model, and Keras 3 writes down the numbers, which no training would reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.graph import TF_KERAS, Call, Side

_LAYER = "tie embeddings with keras.layers.ReversibleEmbedding of Keras 3, or write a layer that does both"


def variables(call: Call, side: Side) -> list[Any]:
    """Returns the variables among the arguments of a call."""
    return [leaf for leaf in side.flatten([list(call.args), call.kwargs]) if hasattr(leaf, "assign")]


def ties(model: Any) -> Iterator[tuple[Call, Any]]:
    """Yields the calls of a tf_keras model, and of models inside, that read a weight of the model, with that weight.

    A variable that is no layer's is never trained: a number like others.
    """
    weights = {id(one) for one in model.weights}
    for call in _calls(model):
        yield from ((call, one) for one in variables(call, TF_KERAS) if id(one) in weights)


def _calls(model: Any) -> Iterator[Call]:
    for call in TF_KERAS.calls(model):
        yield call
        if TF_KERAS.is_model(call.layer) and TF_KERAS.has_graph(call.layer):
            yield from _calls(call.layer)


def check_file(model: Any) -> None:
    """Raises UserError for a tf_keras model that no file can hold because an operation reads another layer's weight."""
    for call, variable in ties(model):
        raise no_file(call, variable)


def no_file(call: Call, variable: Any) -> UserError:
    """Returns the error for a tie where a file, or the other Keras, would have to hold it."""
    return UserError(f"{_said(call, variable)}: a Keras file would hold its numbers there, no longer tied", _LAYER)


def not_made(call: Call, variable: Any) -> UserError:
    """Returns the error for a tie to a weight of a layer that is not there yet when the call is repeated."""
    return UserError(f"{_said(call, variable)} of a layer that is called later", f"call the layer first, or {_LAYER}")


def untakable(call: Call, variable: Any, what: str) -> UserError:
    """Returns the error for a tie that a technique cannot keep; `what` names it."""
    return UserError(f"{_said(call, variable)}: {what} cannot keep both the same", _LAYER)


def _said(call: Call, variable: Any) -> str:
    return f"operation {call.layer.name!r} reads the weight {getattr(variable, 'path', variable.name)!r}"
