"""Which channels go together: a union-find of atoms, and the marks of those that must stay.

An atom is one channel of one layer's output as it was made. Layers that add, multiply or regroup what they get make
atoms one class; a class is removed or kept as a whole. A class that cannot go is fixed, and the first reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Vector = np.ndarray  # int64 [positions], the atom of each position along an axis.


class Atoms:
    """Atoms by number, in classes."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._fixed: dict[int, tuple[int, str]] = {}  # root -> (when, why)
        self._kinds: dict[int, str] = {}
        self.producers: list[str] = []  # By atom: the layer that makes the channel, "" where none does.
        self.origins: list[int] = []  # By atom: the first of those that were made together.
        self.parts: list[Vector] = []  # Of which one must stay: what is cut out of an axis is an axis again.

    def __len__(self) -> int:
        return len(self._parent)

    def new(self, count: int, producer: str, kind: str) -> Vector:
        """Returns `count` atoms, each in a class of its own; `kind` is what its channels are called."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        self.producers.extend([producer] * count)
        self.origins.extend([start] * count)
        self._kinds.update(dict.fromkeys(range(start, start + count), kind))
        return np.arange(start, start + count)

    def find(self, atom: int) -> int:
        """Returns the atom that stands for the class."""
        parent, root = self._parent, atom
        while parent[root] != root:
            root = parent[root]
        while parent[atom] != root:
            parent[atom], atom = root, parent[atom]
        return root

    def union(self, first: Vector, second: Vector) -> None:
        """Makes the classes of each pair one."""
        for one, other in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True):
            one, other = self.find(one), self.find(other)
            if one == other:
                continue
            low, high = min(one, other), max(one, other)
            self._parent[high] = low
            reasons = [self._fixed.pop(root) for root in (low, high) if root in self._fixed]
            if reasons:
                self._fixed[low] = min(reasons)
            if self._kinds[high] in ("heads", "groups"):
                self._kinds[low] = self._kinds[high]

    def fix(self, atoms: Vector, why: str) -> None:
        """Marks classes as those that must stay."""
        for root in {self.find(atom) for atom in atoms.ravel().tolist()}:
            self._fixed.setdefault(root, (len(self._fixed), why))

    def call(self, atoms: Vector, kind: str) -> None:
        """Names the kind of what the classes are: "heads" or "groups"."""
        for root in {self.find(atom) for atom in atoms.ravel().tolist()}:
            self._kinds[root] = kind

    def roots(self, atoms: Vector | None = None) -> Vector:
        """Returns the class of each atom, of all of them by default."""
        which: Iterable[int] = range(len(self)) if atoms is None else atoms.ravel().tolist()
        found = np.fromiter((self.find(atom) for atom in which), np.int64)
        return found if atoms is None else found.reshape(atoms.shape)

    def reason(self, root: int) -> str:
        """Returns why a class must stay; "" where it need not."""
        return self._fixed.get(root, (0, ""))[1]

    def kind(self, root: int) -> str:
        """Returns "channels", "units", "heads" or "groups"."""
        return self._kinds[root]
