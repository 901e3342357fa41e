"""The Keras 3 classes that may be made from a file's words: the only way from a name in a file to a class.

Nothing is imported by a name that a file gives. What takes functions (Map, Scan, Cond), runs another framework's code
(JaxLayer, TorchModuleWrapper, TFSMLayer) or carries code itself (Lambda) is not in the table.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras3
from tfday7.models.door import applications

RUNS_CODE = frozenset(("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"))
_TAKES_FUNCTIONS = frozenset(
    ("Map", "Scan", "AssociativeScan", "Switch", "WhileLoop", "ForiLoop", "Cond", "VectorizedMap", "JVP")
)
_OPERATION_MODULES = ("numpy", "nn", "core", "math", "linalg", "image", "einops")


@functools.cache
def operations() -> dict[str, type]:
    """Returns the operations (`keras.ops` functions' classes) by the name of their class."""
    import importlib

    found: dict[str, type] = {}
    for module_name in _OPERATION_MODULES:
        module = importlib.import_module(f"keras.src.ops.{module_name}")
        for name, kind in vars(module).items():
            own = inspect.isclass(kind) and issubclass(kind, keras3.Operation) and kind.__module__ == module.__name__
            if own and name not in _TAKES_FUNCTIONS and not issubclass(kind, keras3.layers.Layer):
                found.setdefault(name, kind)
    activations = importlib.import_module("keras.src.activations.activations")
    for name, kind in vars(activations).items():
        if inspect.isclass(kind) and issubclass(kind, keras3.Operation) and kind.__module__ == activations.__name__:
            found[f"activations.{name}"] = kind
    return found


def operation_name(kind: type) -> str | None:
    """Returns the name that stands for an operation's class in `operations`, or None."""
    return next((name for name, known in operations().items() if known is kind), None)


@functools.cache
def layers() -> dict[str, type]:
    """Returns Keras 3's own layer classes that run no code but Keras's, by name."""
    found = {
        name: kind
        for name, kind in vars(keras3.layers).items()
        if inspect.isclass(kind) and issubclass(kind, keras3.layers.Layer) and name not in RUNS_CODE
    }
    for name, (module_name, _) in applications.LAYERS.items():
        found[f"{module_name}.{name}"] = applications.application_class("keras", name)
    return found


def functional() -> type:
    """Returns Keras 3's class of functional models, which it does not export."""
    import importlib

    kind: type = importlib.import_module("keras.src.models.functional").Functional
    return kind


def operation(name: str, settings: dict[str, Any]) -> Any:
    """Returns a new operation. Raises UserError when there is none of that name."""
    if name not in operations():
        raise UserError(f"unknown Keras 3 operation {name!r}", "only operations of keras.ops can be carried over")
    return operations()[name](**settings)


def layer(name: str, settings: dict[str, Any]) -> Any:
    """Returns a new layer. Raises UserError when there is no such class in the table."""
    if name not in layers():
        raise UserError(f"unknown Keras 3 layer class {name!r}", "register a builder for it (docs/keras3_door.md)")
    kind: Any = layers()[name]
    return kind.from_config(settings)


def name_of(kind: type) -> str | None:
    """Returns the name that stands for a layer class in these tables, or None."""
    return next((name for name, known in layers().items() if known is kind), None)
