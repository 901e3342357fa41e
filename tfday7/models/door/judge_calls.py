"""Judges the calls that a file writes down: whether they are on tensors of the model, and can be made at all.

What is called while a model is put together only notes the call, as long as a tensor of the model is among its
arguments. A call on constants alone is carried out at once instead. No Keras writes such calls: they add nothing to a
model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfday7.core.errors import UserError

_MORE_PASSES = 10  # Over a model's layers, besides those that make its calls.
_CONSTANT = "_CONSTANT_VALUE"  # What tf_keras writes in the place of a layer's name before a constant.


class Layers(list[Any]):
    """A model's layers, to be gone through only so often as they have calls.

    tf_keras goes through them until every call has found its tensors: for ever, where nothing makes those.

    Args:
        layers: the layers' records.
        refusal: what to raise then.
    """

    def __init__(self, layers: list[Any], refusal: UserError) -> None:
        super().__init__(layers)
        calls = [layer.get("inbound_nodes") for layer in layers if isinstance(layer, dict)]
        self._passes = _MORE_PASSES + sum(len(one) for one in calls if isinstance(one, list))
        self._refusal = refusal

    def __iter__(self) -> Iterator[Any]:
        self._passes -= 1
        if self._passes < 0:
            raise self._refusal
        return super().__iter__()


def on_keras3_tensor(call: Any) -> bool:
    """Returns whether an item of Keras 3's "inbound_nodes" has a tensor among its arguments."""
    if isinstance(call, dict):
        return _has_keras3_tensor([call.get("args"), call.get("kwargs")])
    return isinstance(call, list) and bool(call)  # As Keras 2 wrote it: a list of tensors, and Keras 3 takes no others.


def on_tf_keras_tensor(call: Any) -> bool:
    """Returns whether an item of tf_keras's "inbound_nodes" has a tensor among its arguments.

    The arguments after the first are written beside every part of the first, and read from one of them.
    """
    parts = list(_tf_keras_parts(call))
    if any(part[0] != _CONSTANT for part in parts):
        return True
    return bool(parts) and all(any(_tf_keras_parts(part[3:])) for part in parts)


def _has_keras3_tensor(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_keras3_tensor(item) for item in value)
    if not isinstance(value, dict):
        return False
    if "class_name" in value:  # Whatever else has a class is a constant, with all that it holds.
        return value["class_name"] == "__keras_tensor__"
    return any(_has_keras3_tensor(item) for item in value.values())


def _tf_keras_parts(value: Any) -> Iterator[list[Any]]:
    """Yields what tf_keras takes for references to tensors: lists of a layer's name and two or three other things."""
    if isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _tf_keras_parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tf_keras_parts(item)
