"""What files of each Keras may name: built from the Kerases' own public modules, never from a file."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models.door import activations, applications, keras3_classes, rules
from tfday7.models.door.judge import Check, Known, parsed, vetted
from tfday7.models.door.judge_calls import on_keras3_tensor, on_tf_keras_tensor

_PARTS = ("initializers", "regularizers", "constraints")
_TENSORFLOW_LAYERS = ("TFOpLambda", "SlicingOpLambda")


def keras3_known() -> Known:
    """Returns what a Keras 3 file may name: Keras's own classes and the registered ones."""
    custom: dict[str, Any] = {}
    for kind in rules.REGISTERED:
        custom[kind.__name__] = custom[keras3.saving.get_registered_name(kind)] = kind
    return Known(_keras3_classes(), custom, _functions(keras3.activations), {}, on_keras3_tensor)


def tf_keras_known(names_ours: bool) -> Known:
    """Returns what a tf_keras or Keras 2 file may name: Keras's own classes, and those that the door puts there.

    Args:
        names_ours: whether the file names any of the latter; they need Keras 3, which is not loaded otherwise.
    """
    custom: dict[str, Any] = _given_to_tf_keras() if names_ours else {}
    for kind in rules.RETURNING:
        if not kind.__module__.startswith("tf_keras."):
            custom[kind.__name__] = custom[keras.saving.get_registered_name(kind)] = kind
    functions = _functions(keras.activations) | activations.TENSORFLOWS | frozenset(custom)
    return Known(_tf_keras_classes(), custom, functions, _tf_keras_checks(names_ours), on_tf_keras_tensor)


def _given_to_tf_keras() -> dict[str, Any]:
    from tfday7.models.door import kept

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
    for name in _TENSORFLOW_LAYERS:
        layers[name] = getattr(_module("tf_keras.src.layers.core.tf_op_layer"), name)
    layers |= applications.classes("tf_keras")
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


def _tf_keras_checks(names_ours: bool) -> dict[type, Check]:
    classes = _tf_keras_classes()
    checks: dict[type, Check] = {classes[name]: _tensorflow_function for name in _TENSORFLOW_LAYERS}
    if names_ours:
        from tfday7.models.door import kept

        checks[kept.KerasOperation] = _kept_operation
        checks[kept.Keras3Layer] = _kept_layer
    return checks


def _tensorflow_function(what: str, settings: dict[str, Any], allow_unsafe: bool) -> dict[str, Any]:  # noqa: ARG001
    from tfday7.models.door.tensorflow_calls import SYMBOLS, plain_symbol

    if plain_symbol(settings.get("function")) not in SYMBOLS:
        raise UserError(f"{what} calls tf.{settings.get('function')}", "only functions of tensors can be loaded")
    return settings


def _kept_operation(what: str, settings: dict[str, Any], allow_unsafe: bool) -> dict[str, Any]:
    judged = vetted(parsed(settings.get("settings"), what), keras3_known(), what, allow_unsafe)
    return {**settings, "settings": json.dumps(judged)}


def _kept_layer(what: str, settings: dict[str, Any], allow_unsafe: bool) -> dict[str, Any]:
    name = f"layers.{settings.get('layer_class')}"  # In full: a registered class of that name is not what it means.
    record = {"class_name": name, "config": parsed(settings.get("settings"), what)}
    build = parsed(settings.get("build"), what)
    judged, build = vetted([record, build], keras3_known(), what, allow_unsafe)
    return {**settings, "settings": json.dumps(judged["config"]), "build": json.dumps(build)}


def _classes(module: Any, base: type) -> dict[str, type]:
    return {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)}


def _functions(module: Any) -> frozenset[str]:
    hidden = ("get", "serialize", "deserialize")
    return frozenset(name for name, item in vars(module).items() if inspect.isfunction(item) and name not in hidden)


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)
