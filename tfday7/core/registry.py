"""A table of named things that fills itself from a folder: adding a thing is adding one file and its test.

Each module of the folder registers with the decorator; the folder is read when a name is first asked for. The modules
load no TensorFlow on import (`tfday7.core.frameworks` is lazy), so names can be checked before it loads.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from tfday7.core.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names and what they stand for.

    Args:
        kind: what one entry is called in messages, for example "model".
        package: the dotted name of the folder whose modules register entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}
        self._filled = False

    def add(self, name: str, entry: T) -> T:
        """Registers an entry. Raises ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that registers what it decorates under the name."""
        return lambda entry: self.add(name, entry)

    def names(self) -> tuple[str, ...]:
        """Returns the known names, sorted."""
        self._fill()
        return tuple(sorted(self._entries))

    def get(self, name: str, extra: str = "") -> T:
        """Returns the entry. Raises UserError (exit 2) listing the known names, and `extra` forms, if there is none."""
        self._fill()
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries, extra)
        return self._entries[name]

    def _fill(self) -> None:
        if self._filled:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        self._filled = True
