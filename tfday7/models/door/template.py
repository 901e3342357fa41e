"""The arguments of a call with holes where tensors go, as JSON: how a call is written into a layer's settings.

What JSON has no word for is a dict whose first key says what it is:
`{"tensor": 0}`, `{"slice": [1, null, null]}`, `{"tuple": [...]}`, `{"ellipsis": true}`, `{"array": [...], ...}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfday7.core.errors import UserError

_NUMBERS = frozenset(np.dtype(letter).name for letter in "?bhilqBHILQefd")  # What arrays are written of.


def taken_apart(nest: Any, is_symbolic: Callable[[Any], bool]) -> tuple[Any, list[Any]]:
    """Returns the arguments as a template and the tensors that its holes stand for, in order."""
    tensors: list[Any] = []

    def encode(value: Any) -> Any:
        if is_symbolic(value):
            tensors.append(value)
            return {"tensor": len(tensors) - 1}
        return _constant(value, encode)

    return encode(nest), tensors


def filled(template: Any, tensors: Sequence[Any]) -> Any:
    """Returns the arguments with the tensors in the holes."""
    if isinstance(template, list):
        return [filled(item, tensors) for item in template]
    if not isinstance(template, dict):
        return template
    ((kind, value), *rest) = template.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "tuple":
        return tuple(filled(item, tensors) for item in value)
    if kind == "dict":
        return {key: filled(item, tensors) for key, item in value.items()}
    if kind == "slice":
        return slice(*(filled(item, tensors) for item in value))
    if kind == "ellipsis":
        return ...
    if kind == "array":
        if str(rest[0][1]) not in _NUMBERS:
            raise UserError(f"a call's arguments contain an array of {rest[0][1]!r}", "the file is broken")
        return np.array(value, dtype=rest[0][1]).reshape(rest[1][1])
    raise UserError(f"a call's arguments contain {kind!r}, which nothing stands for", "the file is broken")


def _constant(value: Any, encode: Callable[[Any], Any]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": {key: encode(item) for key, item in value.items()}}
    if isinstance(value, slice):
        return {"slice": [encode(value.start), encode(value.stop), encode(value.step)]}
    if value is ...:
        return {"ellipsis": True}
    if isinstance(value, np.generic) and not value.shape:
        value = np.asarray(value)
    return _array(value)


def _array(value: Any) -> Any:
    dtype_name = getattr(value, "name", None) if not hasattr(value, "shape") else None
    if dtype_name is not None:  # tf.float32 or np.dtype("float32").
        return str(dtype_name)
    if not hasattr(value, "shape") or (hasattr(value, "assign") and not hasattr(value, "numpy")):
        raise UserError(
            f"a call's arguments contain {value!r} ({type(value).__name__})", "use numbers and tensors only"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise UserError(f"a call's arguments contain an array of {array.dtype}", "use numbers and tensors only")
    return {"array": array.ravel().tolist(), "dtype": array.dtype.name, "shape": list(array.shape)}
