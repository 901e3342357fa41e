"""The groups of a model: classes of channels that the same layers make, which shrink together by a share.

At least one class of a group stays. So that no axis is ever empty, what a layer makes twice (the two directions of a
bidirectional one) is two groups, and so is what is cut apart later.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfday7.compression.shrink.propagation import Propagation

SINGLE = "it is the only one of its kind"


@dataclasses.dataclass(frozen=True)
class Group:
    """Classes made by the same layers.

    Attributes:
        name: the first layer that makes them, with a number behind it where a layer begins several groups.
        kind: "channels", "units", "heads" or "groups" (of a grouped convolution).
        members: the layers that make them.
        classes: int64, the class of each, in the order of the first layer's outputs.
        reason: why it must stay; "" where it need not.
    """

    name: str
    kind: str
    members: tuple[str, ...]
    classes: np.ndarray
    reason: str = ""

    def __len__(self) -> int:
        return len(self.classes)


def find(graph: Propagation) -> list[Group]:
    """Returns the groups in the order of the model; those that must stay have a reason."""
    atoms = graph.atoms
    roots = atoms.roots()
    members: dict[int, dict[str, None]] = {}
    origins: dict[int, set[int]] = {}  # What was made together, and where it was cut apart.
    for root, producer, origin in zip(roots.tolist(), atoms.producers, atoms.origins, strict=True):
        if producer:
            members.setdefault(root, {})[producer] = None
            origins.setdefault(root, set()).add(origin)
    for number, part in enumerate(atoms.parts, 1):
        for root in set(roots[part].tolist()) & set(members):
            origins[root].add(-number)
    sorted_in: dict[tuple[frozenset[int], tuple[str, ...], str, str], list[int]] = {}
    for root, makers in members.items():
        key = (frozenset(origins[root]), tuple(makers), atoms.kind(root), atoms.reason(root))
        sorted_in.setdefault(key, []).append(root)
    found: list[Group] = []
    counts: dict[str, int] = {}
    for (_, layers, kind, reason), classes in sorted_in.items():
        counts[layers[0]] = counts.get(layers[0], 0) + 1
        name = layers[0] if counts[layers[0]] == 1 else f"{layers[0]}#{counts[layers[0]]}"
        why = reason or (SINGLE if len(classes) == 1 else "")
        found.append(Group(name, kind, layers, np.array(classes), why))
    return found
