"""Refuses to make a model whose weights are far larger than the file that should fill them.

Settings of a few bytes can ask for a layer of terabytes. Each variable's size is added up before the variable is made;
only models with unusually large numbers in their settings are watched, because watching Keras 3 costs some time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf

_UNUSUAL = 8192  # Two such dimensions make 268 MB of float32.
_FREE_BYTES = 256_000_000
_PER_STORED_BYTE = 4  # Weights may be stored packed, or in half precision.


@contextlib.contextmanager
def within_file(config: Any, stored_bytes: int, source: Any) -> Iterator[None]:
    """Watches the variables that are made inside the block.

    Args:
        config: the settings that they are made from.
        stored_bytes: how large the file is that holds their values.
        source: the file's name, for messages.

    Raises:
        UserError: they need far more memory than the file has values for.
    """
    if largest_number(config) < _UNUSUAL:
        yield
        return
    allowed = max(_FREE_BYTES, _PER_STORED_BYTE * stored_bytes)
    total = 0

    def watch(make: Callable[..., Any], **arguments: Any) -> Any:
        nonlocal total
        total += _size_bytes(arguments)
        if total > allowed:
            raise UserError(
                f"{source}: its settings ask for more than {allowed:,} bytes of weights, "
                f"the file stores {stored_bytes:,}",
                "the file is broken, or made to fill this machine's memory",
            )
        return make(**arguments)

    with tf.variable_creator_scope(watch):
        yield


def largest_number(config: Any) -> int:
    """Returns the largest whole number anywhere in the settings."""
    largest, waiting = 0, [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(item for key, item in value.items() if key != "shared_object_id")
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int):
            largest = max(largest, abs(value))
    return largest


def _size_bytes(arguments: dict[str, Any]) -> int:
    """Returns a variable's size from the arguments that it would be made with, without making its value."""
    shape, dtype = arguments.get("shape"), arguments.get("dtype")
    value: Any = arguments.get("initial_value")
    if callable(value) and (shape is None or not tf.TensorShape(shape).is_fully_defined()):
        with tf.Graph().as_default():  # Symbolic: random numbers are not drawn.
            value = tf.convert_to_tensor(value(), dtype=dtype)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape, dtype = value.shape, value.dtype
    count = tf.TensorShape(shape).num_elements() or 1
    return int(count) * int(tf.as_dtype(dtype or "float32").size or 4)
