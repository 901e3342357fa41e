"""Judges a model's settings before anything is made from them, and says which class each word in them stands for.

A Keras file is JSON that names classes and functions, and either Keras imports what it names. Here every name is looked
up in a table of known classes instead, and the settings are rewritten to name exactly those; whatever is not in the
table is refused, so nothing that a file says can choose code to run. Python code inside a file (a Lambda layer's
bytecode) is refused too, unless the user trusts the file (`allow_unsafe`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.judge_calls import Layers
from tfday7.models.door.lookups import LOOKUPS

UNSAFE_HINT = (
    "rewrite it with Keras layers or keras.ops; or, only if you trust whoever made the file, let it run its code: "
    "--allow_unsafe_model, in Python load(..., allow_unsafe=True)"
)
CODE = frozenset(("Lambda", "__lambda__"))
_OTHER_RUNTIMES = frozenset(("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TensorFlowOpLayer"))
_KERAS = frozenset(("keras", "tf_keras", "tensorflow", "builtins"))  # The packages of Keras's own classes.
_DATA = frozenset(("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"))
_BROKEN = "the file is broken"
_DEEPEST = 200  # Nested this deep, the settings are an attack on the reader's stack.
Check = Callable[[str, dict[str, Any], bool], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Known:
    """What a file may name.

    Args:
        classes: name -> class, of layers, models, operations, initializers, regularizers, constraints and policies.
        custom: name -> class or function that was registered, under the names that a file uses for it.
        activations: names of activation functions.
        check: further judgement of one object's settings, by class; it may return other settings.
        takes_tensor: whether one of a layer's calls (an item of its "inbound_nodes") is on a tensor of the model.
    """

    classes: Mapping[str, type]
    custom: Mapping[str, Any]
    activations: frozenset[str]
    check: Mapping[type, Check]
    takes_tensor: Callable[[Any], bool]


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
    try:
        return _Judge(known, source, allow_unsafe).value(config, "")
    except RecursionError as error:  # Settings inside of settings, each of a depth that `parsed` lets through.
        raise _too_deep(source) from error


@dataclasses.dataclass(frozen=True)
class _Judge:
    known: Known
    source: str
    allow_unsafe: bool

    def value(self, value: Any, key: str, owner: str = "") -> Any:
        if isinstance(value, list):
            return [self.value(item, key, owner) for item in value]
        if isinstance(value, dict):
            if "class_name" in value:
                return self.named(value, owner)
            return {name: self.value(item, str(name), owner) for name, item in value.items()}
        if isinstance(value, str) and (key == "activation" or key.endswith("_activation")):
            self.activation(value, owner)
        return value

    def named(self, record: dict[str, Any], owner: str) -> dict[str, Any]:
        name, settings = record["class_name"], record.get("config")
        own_name = settings.get("name") if isinstance(settings, dict) else None
        owner = str(own_name or owner or "model")
        if not isinstance(name, str):  # Keras may go by another part of the record instead.
            raise UserError(f"{self.source}: layer {owner!r} names a class by {name!r}", _BROKEN)
        if name in _DATA:
            return {"class_name": name, "config": self.value(settings, "", owner)}
        if name == "function":
            return self.function(record, owner)
        if name in CODE:
            return self.code(record, owner)
        if name in _OTHER_RUNTIMES:
            raise UserError(
                f"{self.source}: layer {owner!r} ({name}) runs another program; expected Keras layers",
                "build the model without it",
            )
        return self.known_class(record, name, settings, owner)

    def known_class(self, record: dict[str, Any], name: str, settings: Any, owner: str) -> dict[str, Any]:
        registered, kind = self.meant(record, name)
        if kind is None:
            module = record.get("module")
            place = f" of {module}" if isinstance(module, str) and module else ""
            raise UserError(
                f"{self.source}: layer {owner!r} is made of {name!r}{place}, which is not one of Keras's own classes",
                f"if it is yours: @tfday7.models.register({name.rsplit('>')[-1]}) (docs/keras3_door.md)",
            )
        settings = self.settings(kind, settings, owner)
        kept = {key: record[key] for key in record if key in ("name", "shared_object_id")}
        if "inbound_nodes" in record:
            self.calls(record["inbound_nodes"], owner)
        for key in ("build_config", "inbound_nodes"):
            if key in record:
                kept[key] = self.value(record[key], key, owner)
        where = {"module": kind.__module__, "class_name": kind.__name__, "registered_name": registered}
        return {**where, "config": settings, **kept}

    def meant(self, record: dict[str, Any], name: str) -> tuple[str | None, Any]:
        """Returns the class that a record means, None for one that is not known; before it its registered name, if any.

        Where the record says whose class it is, another of the same name is not taken for it. `.h5` files do not say.
        """
        module, registered_name = record.get("module"), record.get("registered_name")
        if isinstance(module, str) and module:
            is_own = module.partition(".")[0] in _KERAS
            is_foreign = not is_own
        else:  # Keras writes no module for the classes of a script.
            is_own = False
            is_foreign = isinstance(registered_name, str) and ("module" in record or ">" in registered_name)
        names = [one for one in (registered_name, name) if isinstance(one, str) and not is_own]
        registered = next((one for one in names if one in self.known.custom), None)
        if registered is not None or is_foreign:
            return registered, self.known.custom.get(str(registered))
        return None, self.known.classes.get(self.long_name(record, name))

    def settings(self, kind: Any, settings: Any, owner: str) -> Any:
        """Returns the judged settings of an object of the class: a file has many words for a class, and it is one."""
        bases = getattr(kind, "__mro__", ())
        check = next((self.known.check[base] for base in bases if base in self.known.check), None)
        if check is not None:
            if not isinstance(settings, dict):
                raise UserError(f"{self.source}: layer {owner!r} ({kind.__name__}) has no settings", _BROKEN)
            settings = check(f"{self.source}: layer {owner!r} ({kind.__name__})", settings, self.allow_unsafe)
        judged = self.value(settings or {}, "", owner)
        if not isinstance(judged, dict):
            return judged
        if isinstance(judged.get("layers"), list):
            judged["layers"] = Layers(
                judged["layers"], UserError(f"{self.source}: {owner!r} calls a layer on what no other makes", _BROKEN)
            )
        words = judged.get("vocabulary")
        if isinstance(words, str) and any(base.__name__ in LOOKUPS for base in bases):
            raise UserError(
                f"{self.source}: layer {owner!r} ({kind.__name__}) would read the file {words!r}",
                "save the model with the vocabulary itself",
            )
        return judged

    def calls(self, nodes: Any, owner: str) -> None:
        """Raises UserError for a call on constants alone: Keras would run it at once, and not put it into the model."""
        if not isinstance(nodes, list) or not all(self.known.takes_tensor(node) for node in nodes):
            raise UserError(
                f"{self.source}: layer {owner!r} is called on constants alone; expected a tensor of the model",
                "the file is broken, or made to run something while it is loaded",
            )

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
            raise UserError(f"{self.source}: layer {owner!r} names a function by {name!r}", _BROKEN)
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


def parsed(text: Any, source: str) -> Any:
    """Returns parsed JSON. Raises UserError naming the file when it is none, or is nested too deeply."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{source}: its settings are no JSON ({error})", _BROKEN) from error
    level = [found]
    for _ in range(_DEEPEST):
        level = [item for value in level for item in _items(value)]
    if level:
        raise _too_deep(source)
    return found


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(source: str) -> UserError:
    return UserError(f"{source}: settings nested more than {_DEEPEST} deep", _BROKEN)
