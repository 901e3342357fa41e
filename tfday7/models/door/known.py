"""What files of each Keras may name: built from the Kerases' own public modules, never from a file."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models.door import applications, keras3_classes, rules
from tfday7.models.door.judge import Known, parsed, vetted

_PARTS = ("initializers", "regularizers", "constraints")


def keras3_known() -> Known:
    """Returns what a Keras 3 file may name: Keras's own classes and the registered ones."""
    custom: dict[str, Any] = {}
    for kind in rules.REGISTERED:
        custom[kind.__name__] = custom[keras3.saving.get_registered_name(kind)] = kind
    return Known(_keras3_classes(), custom, _functions(keras3.activations), {})


def tf_keras_known(names_ours: bool) -> Known:
    """Returns what a tf_keras or Keras 2 file may name: Keras's own classes, and those that the door puts there.

    Args:
        names_ours: whether the file names any of the latter; they need Keras 3, which is not loaded otherwise.
    """
    custom: dict[str, Any] = _given_to_tf_keras() if names_ours else {}
    for kind in rules.RETURNING:
        if not kind.__module__.startswith("tf_keras."):
            custom[kind.__name__] = custom[keras.saving.get_registered_name(kind)] = kind
    functions = _functions(keras.activations) | frozenset(custom)
    return Known(_tf_keras_classes(), custom, functions, _tf_keras_checks())


def _given_to_tf_keras() -> dict[str, Any]:
    from tfday7.models.door import activations, kept

    custom: dict[str, Any] = {}
    for name in sorted(activations.KERAS3_ONLY):  # By their full names: Keras 2 has another hard_sigmoid.
        custom[f"{activations.PACKAGE}>{name}"] = activations.given(name)
    own: tuple[type, ...] = (kept.KerasOperation, kept.Keras3Layer)
    for kind in own:
        custom[kind.__name__] = custom[keras.saving.get_registered_name(kind)] = kind
    return custom


@functools.cache
def _keras3_classes() -> dict[str, type]:
    policies = _classes(keras3.dtype_policies, object)
    models = {"Functional": keras3_classes.functional(), "Sequential": keras3.Sequential, "Model": keras3.Model}
    others = policies | models | {"SeedGenerator": keras3.random.SeedGenerator}
    layers = keras3_classes.layers()
    layers = layers | {kind.__name__: kind for kind in layers.values()}  # `.h5` files give the class's own name.
    return _table(keras3, layers, others, keras3_classes.operations())


@functools.cache
def _tf_keras_classes() -> dict[str, type]:
    layers = _classes(keras.layers, keras.layers.Layer)
    for name in ("TFOpLambda", "SlicingOpLambda"):
        layers[name] = getattr(_module("tf_keras.src.layers.core.tf_op_layer"), name)
    layers |= {name: applications.application_class("tf_keras", name) for name in applications.LAYERS}
    for name in ("Lambda", "Layer", "Wrapper"):
        layers.pop(name, None)
    functional = _module("tf_keras.src.engine.functional").Functional
    models = {"Functional": functional, "Model": functional, "Sequential": keras.Sequential}
    return _table(keras, layers, models | {"Policy": keras.mixed_precision.Policy}, {})


def _table(framework: Any, layers: dict[str, type], others: dict[str, type], ops: dict[str, type]) -> dict[str, type]:
    """Returns all classes under "family.name", and under the bare name, where a layer goes before the others."""
    families = {part: _classes(getattr(framework, part), object) for part in _PARTS}
    families |= {"ops": ops, "layers": layers}
    found: dict[str, type] = {}
    for part, family in families.items():
        found |= family | {f"{part}.{name}": kind for name, kind in family.items()}
    return found | others


def _tf_keras_checks() -> dict[str, Callable[[str, dict[str, Any], bool], dict[str, Any]]]:
    def tensorflow_function(what: str, settings: dict[str, Any], allow_unsafe: bool) -> dict[str, Any]:  # noqa: ARG001
        from tfday7.models.door.tensorflow_calls import SYMBOLS, plain_symbol

        if plain_symbol(settings.get("function")) not in SYMBOLS:
            raise UserError(f"{what} calls tf.{settings.get('function')}", "only functions of tensors can be loaded")
        return settings

    def held(what: str, settings: dict[str, Any], allow_unsafe: bool) -> dict[str, Any]:
        inner = {key: parsed(settings[key], what) for key in ("settings", "build") if key in settings}
        judged = vetted(inner, keras3_known(), what, allow_unsafe)
        return {**settings, **{key: json.dumps(value) for key, value in judged.items()}}

    names = ("TFOpLambda", "SlicingOpLambda")
    kept_names = ("KerasOperation", "Keras3Layer", "tfday7>KerasOperation", "tfday7>Keras3Layer")
    return dict.fromkeys(names, tensorflow_function) | dict.fromkeys(kept_names, held)


def _classes(module: Any, base: type) -> dict[str, type]:
    return {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)}


def _functions(module: Any) -> frozenset[str]:
    hidden = ("get", "serialize", "deserialize")
    return frozenset(name for name, item in vars(module).items() if inspect.isfunction(item) and name not in hidden)


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)
