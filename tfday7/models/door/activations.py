"""Activation functions of the two Kerases: the same name is not always the same function.

Keras 3's `hard_sigmoid` is relu6(x + 3) / 6, tf_keras's is clip(0.2 x + 0.5, 0, 1). Functions that tf_keras lacks are
given to it here, under a registered name, so that its models can be cloned and saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3

# Equal in both, measured on a grid of inputs in tests/models/door/test_activations.py.
_SAME = frozenset((
    *("elu", "exponential", "gelu", "linear", "mish", "relu", "selu"),
    *("sigmoid", "softmax", "softplus", "softsign", "swish", "tanh"),
))  # fmt: skip
KERAS3_ONLY = frozenset((
    *("celu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid"),
    *("log_softmax", "relu6", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh_shrink"),
))  # fmt: skip
# TensorFlow's own, which tf_keras finds by these names too; Keras 3's of the same name are equal, slope included.
TENSORFLOWS = frozenset(("leaky_relu", "log_softmax", "relu6", "silu"))
_ALIASES = {"silu": "swish", "hard_swish": "hard_silu"}
PACKAGE = "tfday7"


def carried_activation(layer: Any, key: str, framework: Any) -> Callable[[Any], Any]:
    """Returns the function of the other Keras (`framework`) that a layer's setting `key` names.

    Raises:
        UserError: it is not one of Keras's own functions, or the other Keras has none like it.
    """
    function = getattr(layer, key)
    if framework is keras:
        return _to_tf_keras(layer, function)
    return _to_keras3(layer, function)


def keras3_name(function: Any) -> str | None:
    """Returns the Keras 3 activation that a function which was given to tf_keras stands for, or None."""
    return getattr(function, "keras3_name", None)


def _to_tf_keras(layer: Any, function: Any) -> Callable[[Any], Any]:
    name = getattr(function, "__name__", type(function).__name__)
    if not str(getattr(function, "__module__", "")).startswith("keras.src.activations"):
        raise _unknown(layer, name)
    name = _ALIASES.get(name, name)
    if name in _SAME:
        return getattr(keras.activations, name)
    if name in KERAS3_ONLY:
        return given(name)
    raise _unknown(layer, name)


def _to_keras3(layer: Any, function: Any) -> Callable[[Any], Any]:
    name = getattr(function, "__name__", type(function).__name__)
    original = keras3_name(function)
    if original is not None:
        return getattr(keras3.activations, original)
    if str(getattr(function, "__module__", "")).startswith("tf_keras.") and name in _SAME:
        return getattr(keras3.activations, name)
    for each in TENSORFLOWS:
        if function is keras.activations.get(each):
            return getattr(keras3.activations, each)
    raise _unknown(layer, name)


def given(name: str) -> Callable[[Any], Any]:
    """Returns a Keras 3 activation as a function that tf_keras can use, save and load."""
    registered = f"{PACKAGE}>{name}"
    known = keras.saving.get_registered_object(registered)
    if known is not None:
        return known
    original = getattr(keras3.activations, name)

    def activation(x: Any) -> Any:
        return original(x)

    activation.__name__ = activation.__qualname__ = name
    activation.keras3_name = name  # type: ignore[attr-defined]
    return keras.saving.register_keras_serializable(package=PACKAGE, name=name)(activation)


def _unknown(layer: Any, name: str) -> UserError:
    return UserError(
        f"layer {layer.name!r} ({type(layer).__name__}): no equal of its activation {name!r} in the other Keras",
        "use a built-in activation, or register a builder for the layer (docs/keras3_door.md)",
    )
