"""Carries a layer's settings over: the same constructor arguments, in the other Keras's words.

Both Kerases write a layer's settings as `get_config()`. An argument that the other class does not know may be dropped
only while it has its default value, because then it changes nothing; otherwise the layer cannot be carried over as it
is, and that is said.
"""

from __future__ import annotations

import inspect
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.graph import Side

# Settings that change how a layer computes or what it draws, never what it returns: dropped whatever their value.
_HARMLESS = frozenset((
    *("use_cudnn", "implementation", "query_shape", "key_shape", "value_shape", "build_config", "input_length"),
    *("seed", "flash_attention", "gptq_unpacked_column_size", "batch_input_shape", "autocast", "dynamic", "optional"),
    *("fused", "trainable", "rng_type", "force_generator"),
))  # fmt: skip
# The other Keras's name of a class of an initializer, where it differs.
_SAME_THING = {"OrthogonalInitializer": "Orthogonal", "IdentityInitializer": "Identity"}
# What tf_keras takes without saying so in a signature: class -> names.
_READ_FROM_KWARGS = {"Layer": ("trainable", "name", "dtype", "activity_regularizer"), "RNN": ("zero_output_for_mask",)}
_KINDS = {"initializer": "initializers", "regularizer": "regularizers", "constraint": "constraints"}


class NoEqualError(UserError):
    """The other Keras has no layer that does this."""


def parameters(kind: type) -> dict[str, Any]:
    """Returns the arguments that a layer class takes, with their defaults: its bases' too where it passes them on."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" not in base.__dict__ or not base.__module__.startswith(("keras.", "tf_keras.")):
            continue
        passes_on = False
        for name, parameter in inspect.signature(base.__dict__["__init__"]).parameters.items():
            passes_on = passes_on or parameter.kind is parameter.VAR_KEYWORD
            if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(name, parameter.default)
        for name in _READ_FROM_KWARGS.get(base.__name__, ()):
            found.setdefault(name, False)
        if not passes_on:
            break
    return found


def policy_name(layer: Any) -> str:
    """Returns the name of a layer's dtype policy, such as "mixed_float16". Raises UserError when it is quantized."""
    policy = getattr(layer, "dtype_policy", None)  # Keras 3; tf_keras has the property too, on every layer.
    if policy is None:
        return str(layer.dtype)
    if getattr(policy, "quantization_mode", None) is not None:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}) is quantized by Keras 3 ({policy.name})",
            "give the float model; tfday7 quantizes it itself",
        )
    return str(policy.name)


def with_policy(config: dict[str, Any], policy: str) -> dict[str, Any]:
    """Returns a layer's settings with another dtype policy, for the layers and cells that it holds too."""
    changed: dict[str, Any] = {}
    for key, value in config.items():
        members = value if key == "cells" else [value]
        if key in ("layer", "backward_layer", "cell", "cells") and isinstance(members, list):
            made = [
                {**member, "config": with_policy(member["config"], policy)} if isinstance(member, dict) else member
                for member in members
            ]
            changed[key] = made if key == "cells" else made[0]
        else:
            changed[key] = value
    return {**changed, "dtype": policy}


def carried(
    layer: Any,
    target: type,
    side: Side,
    framework: Any,
    drop: tuple[str, ...] = (),
    rename: dict[str, str] | None = None,
    replace: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the constructor arguments that make a `target` layer of the other Keras do what `layer` does.

    Args:
        layer: the layer to carry over.
        target: the class of the other Keras.
        side: the Keras that `layer` belongs to.
        framework: the other Keras's module.
        drop: settings to leave out, because the rule accounts for them.
        rename: settings that have another name there.
        replace: settings that the rule has made itself, under the other Keras's names.

    Raises:
        UserError: a setting that differs from its default does not exist there.
    """
    known, defaults = parameters(target), parameters(type(layer))
    settings = dict(replace or {})
    config = {**layer.get_config(), "dtype": policy_name(layer)}
    if activity_regularizer(layer) is not None:  # Some layers leave it out of their settings.
        config["activity_regularizer"] = activity_regularizer(layer)
    for key, value in config.items():
        name = (rename or {}).get(key, key)
        if key in drop or name in settings:
            continue
        if name in known:
            settings[name] = _value(layer, name, value, framework)
        elif key not in _HARMLESS and not _same(value, defaults.get(key)):
            raise NoEqualError(
                f"layer {layer.name!r} ({type(layer).__name__}): {key}={value!r} exists in {side.name} only",
                "leave the setting at its default, or register a builder for the layer (docs/keras3_door.md)",
            )
    if "data_format" in settings and "data_format" in config:
        settings["data_format"] = config["data_format"] or "channels_last"
    return settings


def activity_regularizer(layer: Any) -> Any:
    """Returns the serialized activity regularizer, or None."""
    regularizer = getattr(layer, "activity_regularizer", None)
    if regularizer is None:
        return None
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def _value(layer: Any, key: str, value: Any, framework: Any) -> Any:
    if value is None:
        return None
    for suffix, module in _KINDS.items():
        if key.endswith(suffix):
            return _object(layer, key, value, getattr(framework, module))
    if key == "activation" or key.endswith("_activation"):
        from tfday7.models.door.activations import carried_activation  # It needs both Kerases; most layers do not.

        return carried_activation(layer, key, framework)
    return plain(value)


def _object(layer: Any, key: str, value: Any, module: Any) -> Any:
    """Returns an initializer, regularizer or constraint of the other Keras."""
    if isinstance(value, str):
        return module.get(value)
    name = str(value["class_name"])
    name = _SAME_THING.get(name, name)
    kind = getattr(module, name, None)
    if kind is None and key.endswith("initializer"):
        return module.get("zeros")  # It would be used for fresh weights only; the model's own are copied.
    if kind is None:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}): {key} {name} does not exist in the other Keras",
            "remove it before the conversion, or use a built-in one",
        )
    known = inspect.signature(kind.__init__).parameters
    config = {name: plain(item) for name, item in value["config"].items() if name in known}
    if not isinstance(config.get("seed"), (int, type(None))):
        config["seed"] = None
    return kind(**config)


def plain(value: Any) -> Any:
    """Returns a setting without the wrapper types that Keras puts around lists and dicts."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return [plain(item) for item in value] if isinstance(value, list) else value


def _same(value: Any, default: Any) -> bool:
    return value is None or value is False or value == default or list_of(value) == list_of(default)


def list_of(value: Any) -> Any:
    """Returns tuples as lists, so that settings compare whichever of the two a config uses."""
    return [list_of(item) for item in value] if isinstance(value, (list, tuple)) else value


def without_arrays(config: dict[str, Any]) -> None:
    """Replaces initializers that hold an array, for a layer of another size whose weights are set anyway."""
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, dict):
            held = (value.get("config") or {}).get("value")
            if held is not None and not isinstance(held, (int, float)):
                config[key] = "zeros"
