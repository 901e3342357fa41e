"""Judges a model's settings before anything is made from them, and says which class each word in them stands for.

A Keras file is JSON that names classes and functions, and either Keras imports what it names. Here every name is looked
up in a table of known classes instead, and the settings are rewritten to name exactly those; whatever is not in the
table is refused, so nothing that a file says can choose code to run. Python code inside a file (a Lambda layer's
bytecode) is refused too, unless the user trusts the file (`allow_unsafe`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.lookups import LOOKUPS

UNSAFE_HINT = (
    "rewrite it with Keras layers or keras.ops; or, only if you trust whoever made the file, let it run its code: "
    "--allow_unsafe_model, in Python load(..., allow_unsafe=True)"
)
CODE = frozenset(("Lambda", "__lambda__"))
_OTHER_RUNTIMES = frozenset(("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TensorFlowOpLayer"))
_DATA = frozenset(("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"))
_DEEPEST = 200  # Nested this deep, the settings are an attack on the reader's stack.


@dataclasses.dataclass(frozen=True)
class Known:
    """What a file may name.

    Args:
        classes: name -> class, of layers, models, operations, initializers, regularizers, constraints and policies.
        custom: name -> class or function that was registered, under the names that a file uses for it.
        activations: names of activation functions.
        check: further judgement of one object's settings, by class name; it may return other settings.
    """

    classes: Mapping[str, type]
    custom: Mapping[str, Any]
    activations: frozenset[str]
    check: Mapping[str, Callable[[str, dict[str, Any], bool], dict[str, Any]]]


def vetted(config: Any, known: Known, source: str, allow_unsafe: bool) -> Any:
    """Returns the settings with every name replaced by the known class's own.

    Args:
        config: the parsed JSON of a model.
        known: what it may name.
        source: the file's name, for messages.
        allow_unsafe: accept Python code in the settings.

    Raises:
        UserError: it names something else, contains code, or is nested too deeply.
    """
    return _Judge(known, source, allow_unsafe).value(config, "", 0)


@dataclasses.dataclass(frozen=True)
class _Judge:
    known: Known
    source: str
    allow_unsafe: bool

    def value(self, value: Any, key: str, depth: int, owner: str = "") -> Any:
        if depth > _DEEPEST:
            raise UserError(f"{self.source}: settings nested more than {_DEEPEST} deep", "the file is broken")
        if isinstance(value, list):
            return [self.value(item, key, depth + 1, owner) for item in value]
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                return self.named(value, depth, owner)
            return {name: self.value(item, str(name), depth + 1, owner) for name, item in value.items()}
        if isinstance(value, str) and (key == "activation" or key.endswith("_activation")):
            self.activation(value, owner)
        return value

    def named(self, record: dict[str, Any], depth: int, owner: str) -> dict[str, Any]:
        name, settings = record["class_name"], record.get("config")
        own_name = settings.get("name") if isinstance(settings, dict) else None
        owner = str(own_name or owner or "model")
        if name in _DATA:
            return {"class_name": name, "config": self.value(settings, "", depth + 1, owner)}
        if name == "function":
            return self.function(record, owner)
        if name in CODE:
            return self.code(record, owner)
        if name in _OTHER_RUNTIMES:
            raise UserError(
                f"{self.source}: layer {owner!r} ({name}) runs another program; expected Keras layers",
                "build the model without it",
            )
        return self.known_class(record, name, settings, depth, owner)

    def known_class(self, record: dict[str, Any], name: str, settings: Any, depth: int, owner: str) -> dict[str, Any]:
        registered = next((one for one in (record.get("registered_name"), name) if one in self.known.custom), None)
        kind = self.known.custom.get(str(registered)) or self.known.classes.get(self.long_name(record, name))
        if kind is None:
            raise UserError(
                f"{self.source}: layer {owner!r} is made of {name!r}, which is not one of Keras's own classes",
                f"if it is yours: @tfday7.models.register({name.rsplit('>')[-1]}) (docs/keras3_door.md)",
            )
        if name in self.known.check and isinstance(settings, dict):
            settings = self.known.check[name](f"{self.source}: layer {owner!r} ({name})", settings, self.allow_unsafe)
        elif name in LOOKUPS and isinstance(settings, dict) and isinstance(settings.get("vocabulary"), str):
            raise UserError(
                f"{self.source}: layer {owner!r} ({name}) would read the file {settings['vocabulary']!r}",
                "save the model with the vocabulary itself",
            )
        kept = {key: record[key] for key in record if key in ("name", "shared_object_id")}
        for key in ("build_config", "inbound_nodes"):
            if key in record:
                kept[key] = self.value(record[key], key, depth + 1, owner)
        where = {"module": kind.__module__, "class_name": kind.__name__, "registered_name": registered}
        return {**where, "config": self.value(settings or {}, "", depth + 1, owner), **kept}

    def long_name(self, record: dict[str, Any], name: str) -> str:
        """Returns the key of the table for a name that stands for several classes, as Add does, or Identity.

        The module tells them apart; `.h5` files of Keras 3 leave it out, but the settings of operations have neither
        a dtype nor a flag for training.
        """
        module, settings = str(record.get("module") or ""), record.get("config")
        families = [part for part in reversed(module.split(".")) if part]
        if ".ops." in module:
            families = ["ops"]
        elif not module and isinstance(settings, dict) and not {"dtype", "trainable"} & set(settings):
            families = ["initializers", "ops"]
        return next((key for key in (f"{one}.{name}" for one in families) if key in self.known.classes), name)

    def function(self, record: dict[str, Any], owner: str) -> Any:
        name = record.get("config")
        if not isinstance(name, str):
            raise UserError(f"{self.source}: layer {owner!r} names a function by {name!r}", "the file is broken")
        self.activation(name, owner)
        return name

    def activation(self, name: str, owner: str) -> None:
        if name not in self.known.activations and name not in self.known.custom:
            raise UserError(
                f"{self.source}: layer {owner!r} uses the function {name!r}, which is not one of Keras's activations",
                "use a built-in activation, or register a builder for a layer of your own (docs/keras3_door.md)",
            )

    def code(self, record: dict[str, Any], owner: str) -> dict[str, Any]:
        if not self.allow_unsafe:
            raise UserError(f"{self.source}: layer {owner!r} (Lambda) brings Python code of its own", UNSAFE_HINT)
        trusted = {key: value for key, value in record.items() if key != "compile_config"}
        return {**trusted, "module": "keras.layers", "registered_name": None}  # Its own code, but no import.


def parsed(text: str | bytes, source: str) -> Any:
    """Returns parsed JSON. Raises UserError naming the file when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: its settings are no JSON ({error})", "the file is broken") from error
