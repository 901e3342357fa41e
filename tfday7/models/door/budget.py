"""Refuses to make a model whose weights are far larger than the file that should fill them.

Settings of a few bytes can ask for a layer of terabytes, with no number in them that would be unusual: sizes multiply,
and some follow from other layers. So the size of every variable is added up before the variable is made.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf

_FREE_BYTES = 256_000_000
_PER_STORED_BYTE = 4  # Weights may be stored packed, or in half precision.
_VARIABLES = "keras.src.backend.common.variables"
# The initializers whose values have the shape that they are asked for; others may hold values of their own.
_RANDOM = "keras.src.initializers.random_initializers"
_FILLED = frozenset(("keras.src.initializers.constant_initializers", name) for name in ("Zeros", "Ones"))


@contextlib.contextmanager
def within_file(stored_bytes: int, source: Any) -> Iterator[None]:
    """Watches the variables that are made inside the block.

    Args:
        stored_bytes: how large the file is that holds their values.
        source: the file's name, for messages.

    Raises:
        UserError: they need far more memory than the file has values for.
    """
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


def _size_bytes(arguments: dict[str, Any]) -> int:
    """Returns a variable's size from the arguments that it would be made with, without making its value."""
    shape, dtype = arguments.get("shape"), arguments.get("dtype")
    value: Any = arguments.get("initial_value")
    made = _keras3_variable(value)
    value = value if made is None else made
    if callable(value) and (shape is None or not tf.TensorShape(shape).is_fully_defined()):
        with tf.Graph().as_default():  # Symbolic: random numbers are not drawn.
            value = tf.convert_to_tensor(value(), dtype=dtype)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape, dtype = value.shape, value.dtype
    count = tf.TensorShape(shape).num_elements() or 1
    return int(count) * int(tf.as_dtype(dtype or "float32").size or 4)


def _keras3_variable(make_value: Any) -> Any:
    """Returns the Keras 3 variable whose first value the function makes, or None where only the value tells its size.

    It knows its shape, which Keras 3 does not tell TensorFlow; to find it symbolically takes as long as to make it.
    """
    if not inspect.isfunction(make_value):
        return None
    held = inspect.getclosurevars(make_value).nonlocals
    is_variable = _VARIABLES in [kind.__module__ for kind in type(held.get("self")).__mro__]
    kind = type(held.get("initializer"))
    fills = (kind.__module__, kind.__name__) in _FILLED or kind.__module__ == _RANDOM
    return held["self"] if is_variable and fills else None
