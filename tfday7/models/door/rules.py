"""Which rule makes a layer of one Keras from a layer of the other: tables that the files of this folder fill.

A rule is a function `(layer, rebuild) -> new layer`, or a function of the call's arguments where one layer becomes
several. It is found by the class's name, for classes that Keras itself brings; a user's class is found by itself.

    @incoming("LeakyReLU")
    def _leaky_relu(layer, rebuild):
        return rebuild.same(layer, rename={"negative_slope": "alpha"})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError

Rule = Callable[[Any, Any], Any]
Change = Callable[[Any], Any]  # From a weight's value to the value that the new layer needs to do the same.

INCOMING: dict[str, Rule] = {}  # From Keras 3 to tf_keras.
OUTGOING: dict[str, Rule] = {}  # From tf_keras to Keras 3.
OUTGOING_CALLS: dict[str, Callable[[Any, dict[int, Any], Any], Any]] = {}  # Where a call becomes other calls.
OUTGOING_WEIGHTS: dict[str, Callable[[Any], Change | None]] = {}  # Where a weight becomes another number.
REGISTERED: dict[type, Callable[[Any], Any]] = {}
RETURNING: dict[type, type] = {}  # A builder's tf_keras class -> the Keras 3 class that it was made from.


def incoming(*names: str) -> Callable[[Rule], Rule]:
    """Returns a decorator: the rule makes tf_keras layers from Keras 3 layers of these classes."""
    return _adding(INCOMING, names)


def outgoing(*names: str) -> Callable[[Rule], Rule]:
    """Returns a decorator: the rule makes Keras 3 layers from tf_keras layers of these classes."""
    return _adding(OUTGOING, names)


def outgoing_call(*names: str) -> Callable[[Any], Any]:
    """Returns a decorator: the rule `(call, tensors, rebuild) -> outputs` repeats calls of these tf_keras layers."""
    return _adding(OUTGOING_CALLS, names)


def outgoing_weights(*names: str) -> Callable[[Any], Any]:
    """Returns a decorator: the rule `(layer) -> change or None` says what these tf_keras layers' own weights become."""
    return _adding(OUTGOING_WEIGHTS, names)


def outgoing_changes(layer: Any) -> dict[int, Change]:
    """Returns what the weights of a tf_keras layer, and of the layers it holds, become on the way out.

    A layer of a user's own keeps its weights as they are, with all that it holds: its author says what it becomes.

    Returns:
        The change by the identity of the variable; those that go as they are have none.
    """
    if type(layer) in RETURNING:
        return {}
    rule = OUTGOING_WEIGHTS.get(type(layer).__name__) if type(layer).__module__.startswith("tf_keras.") else None
    change = rule(layer) if rule is not None else None
    found = {id(variable): change for variable in layer.weights} if change is not None else {}
    for inner in layer._flatten_layers(recursive=False, include_self=False):
        found |= outgoing_changes(inner)
    return found


def outgoing_call_rule(layer: Any) -> Any:
    """Returns the rule that repeats the calls of a tf_keras layer, or None when calling one new layer does."""
    own = type(layer).__module__.startswith(("tf_keras.", "tfday7."))
    rule = OUTGOING_CALLS.get(type(layer).__name__) if own else None
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return rule or (OUTGOING_CALLS.get(f"activation {name}") if own else None)


def register(keras3_class: type) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Returns a decorator that teaches the door a Keras 3 layer of your own.

    The decorated builder takes the Keras 3 layer and returns the tf_keras layer that does the same, with the same
    name and with weights of the same shapes in the same order; the door copies the weights. On the way out the Keras 3
    class is made again with `keras3_class.from_config(tf_keras_layer.get_config())`. Once registered, the class may
    also occur in `.keras` files.

    Raises:
        UserError: the class is not a Keras 3 layer.
    """
    if not any(kind.__module__ == "keras.src.layers.layer" for kind in getattr(keras3_class, "__mro__", ())):
        raise UserError(
            f"register({keras3_class!r}): not a Keras 3 layer class", "pass a subclass of keras.layers.Layer (Keras 3)"
        )

    def add(builder: Callable[[Any], Any]) -> Callable[[Any], Any]:
        REGISTERED[keras3_class] = builder
        return builder

    return add


def _adding(table: dict[str, Any], names: tuple[str, ...]) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        for name in names:
            if name in table:
                raise ValueError(f"two rules for {name}")
            table[name] = rule
        return rule

    return add
