"""A plan: which channels of each group stay, what that saves, and the two models that come of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfday7.compression.shrink.groups import Group
from tfday7.compression.shrink.labels import Keep
from tfday7.compression.shrink.propagation import Propagation
from tfday7.compression.shrink.rebuilding import Masked, Shrunk
from tfday7.compression.technique import Skipped


@dataclasses.dataclass(frozen=True)
class Shrinkage:
    """What becomes of a group.

    Attributes:
        group: the group.
        kept: int64, the positions in the group that stay, sorted.
    """

    group: Group
    kept: np.ndarray

    @property
    def before(self) -> int:
        """The number of channels."""
        return len(self.group)

    @property
    def after(self) -> int:
        """The number that stay."""
        return len(self.kept)

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {
            "name": self.group.name,
            "kind": self.group.kind,
            "members": list(self.group.members),
            "before": self.before,
            "after": self.after,
            "kept": self.kept.tolist(),
        }


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to go from a model, which is not touched but by `masking`, and must live as long as the plan.

    Attributes:
        graph: the model and what its channels are.
        groups: what becomes of each group that can shrink.
        skipped: what must stay, and why.
        importance: the rule by which channels were chosen.
        notes: what its user has to know.
        parameters: numbers of weights, before and after.
        macs: multiply-accumulates of one example, before and after; None when a layer cannot be counted.
    """

    graph: Propagation
    groups: tuple[Shrinkage, ...]
    skipped: tuple[Skipped, ...]
    importance: str
    notes: tuple[str, ...]
    parameters: tuple[int, int]
    macs: tuple[int, int] | None

    def apply(self) -> Any:
        """Returns the smaller model, a new one, with the weights that the given model has now."""
        return Shrunk(self.graph, self._keep()).model(self.graph.model)

    def masked(self) -> Any:
        """Returns a new model of the given one's size in which every layer ignores the channels that go.

        The input side of its weights is zero there; where channels are summed without weights (the scores of an
        attention written out), a multiplication by zero stands before the sum.
        """
        return Masked(self.graph, self._keep()).model(self.graph.model)

    @contextlib.contextmanager
    def masking(self) -> Iterator[Any]:
        """Yields what `masked` returns, at less cost: the given model itself, whose weights come back afterwards.

        It keeps the functions that Keras has traced of it. Where channels are summed without weights it is a new model.
        """
        if self.graph.summed:
            yield self.masked()
            return
        keep, before = self._keep(), []
        try:
            for weight in self.graph.weights.values():
                value = np.array(weight.variable)
                masked = weight.masked(value, keep)
                if masked is not value:
                    before.append((weight.variable, value))
                    weight.variable.assign(masked)
            yield self.graph.model
        finally:
            for variable, value in before:
                variable.assign(value)

    def _keep(self) -> Keep:
        return keep(self.graph, [one.group for one in self.groups], [one.kept for one in self.groups])

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {
            "importance": self.importance,
            "parameters": {"before": self.parameters[0], "after": self.parameters[1]},
            "macs": {"before": self.macs[0], "after": self.macs[1]} if self.macs else None,
            "groups": [one.to_json() for one in self.groups],
            "skipped": [dataclasses.asdict(one) for one in self.skipped],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """Returns a table: each group before -> after, then the totals."""
        rows: list[tuple[str, ...]] = [
            (one.group.name, one.group.kind, f"{one.before:,}", f"{one.after:,}") for one in self.groups
        ]
        rows.append(("parameters", "", *(f"{number:,}" for number in self.parameters)))
        rows.append(("MACs", "", *([f"{number:,}" for number in self.macs] if self.macs else ["?", "?"])))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            f"{name:{widths[0]}}  {kind:{widths[1]}}  {before:>{widths[2]}} -> {after:>{widths[3]}}"
            for name, kind, before, after in rows
        ]
        lines += [f"kept: {one.layer}: {one.reason}" for one in self.skipped]
        return "\n".join([*lines, *self.notes])


def keep(graph: Propagation, groups: Sequence[Group], kept: Sequence[np.ndarray]) -> Keep:
    """Returns the function from labels to whether each position stays."""
    stays = np.ones(len(graph.atoms), bool)
    for group, positions in zip(groups, kept, strict=True):
        stays[np.delete(group.classes, positions)] = False
    by_atom = stays[graph.atoms.roots()] if len(graph.atoms) else stays
    return lambda label: by_atom[label]
