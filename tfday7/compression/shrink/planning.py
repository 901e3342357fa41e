"""Makes a plan: finds the groups, judges their channels, and decides how many of each stay."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfday7.compression.shrink import groups as grouping
from tfday7.compression.shrink.choosing import Chooser, Counts
from tfday7.compression.shrink.groups import Group
from tfday7.compression.shrink.importance import importance as judged
from tfday7.compression.shrink.labels import Product
from tfday7.compression.shrink.propagation import Propagation
from tfday7.compression.shrink.shrink_plan import Plan, Shrinkage
from tfday7.compression.shrink.shrink_plan import keep as keeping
from tfday7.compression.technique import Skipped
from tfday7.core.errors import UserError
from tfday7.data.dataset import Dataset
from tfday7.models import describe, door
from tfday7.models.door.graph import TF_KERAS, is_tf_keras

FLOAT32_BYTES = 4
SCOPES = ("local", "global")


def plan(
    model: Any,
    ratio: float | None = None,
    macs_ratio: float | None = None,
    size_bytes: int | None = None,
    importance: str = "magnitude",
    data: Dataset | None = None,
    round_to: int = 8,
    keep: Sequence[str] = (),
    scope: str = "local",
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
) -> Plan:
    """Returns a plan to remove channels, neurons, attention heads and recurrent units from a model.

    Exactly one of `ratio`, `macs_ratio`, `size_bytes` and `counts` says how much goes.

    Args:
        model: a tf_keras or Keras 3 model; it is not touched. One of tf_keras must live as long as the plan does.
        ratio: the share of each group's channels that goes, above 0 and below 1.
        macs_ratio: multiply-accumulates after / before, at most.
        size_bytes: of the weights as float32, at most.
        importance: "magnitude", "bn_scale", "taylor", "activation" or "random"; see `importance`.
        data: what "taylor" and "activation" look at: up to 512 of its training examples.
        round_to: counts of channels and units are multiples of it, in groups of 16 or more.
        keep: names of layers, or patterns such as "block_1_*", whose channels stay.
        scope: "local" takes the same share of each group, "global" the least important channels of all groups.
        seed: draws the examples, and the numbers of "random".
        counts: how many of each group stay, by the group's name; groups that are not named stay whole.

    Raises:
        UserError: arguments that contradict each other or cannot be met, names that no layer has, data that does not
            fit, or a model of which nothing can go.
    """
    given = {"ratio": ratio, "macs_ratio": macs_ratio, "size_bytes": size_bytes, "counts": counts}
    _check(given, round_to, scope)
    graph = Propagation(_with_graph(model))
    _keep_named(graph, keep)
    groups = grouping.find(graph)
    able = [group for group in groups if not group.reason]
    if not able:
        reasons = sorted({f"{group.name}: {group.reason}" for group in groups})
        raise UserError(
            "the model has no channels that can be removed" + (f" ({'; '.join(reasons[:3])})" if reasons else ""),
            "shrink needs layers whose channels only layers with weights read",
        )
    scores, notes = judged(importance, graph, able, data, seed)
    chooser = Chooser(able, scores, round_to, scope)
    cost = Cost(graph, able, chooser)
    if ratio is not None:
        if scope == "local":
            chooser.check(ratio)
        chosen = chooser.counts(ratio)
    elif macs_ratio is not None:
        chosen = _within_macs(chooser, cost, macs_ratio)
    elif size_bytes is not None:
        chosen = chooser.within(
            size_bytes, lambda c: FLOAT32_BYTES * cost.parameters(c), "size_bytes", "{:,.0f} bytes"
        )  # fmt: skip
    else:
        chosen = _given_counts(able, counts or {})
    full = [len(group) for group in able]
    macs = None if cost.total_macs is None else (cost.total_macs, int(cost.macs(chosen)))
    return Plan(
        graph=graph,
        groups=tuple(Shrinkage(*pair) for pair in zip(able, chooser.kept(chosen), strict=True)),
        skipped=tuple(Skipped("shrink", group.name, group.reason) for group in groups if group.reason),
        importance=importance,
        notes=tuple(notes),
        parameters=(cost.parameters(full), cost.parameters(chosen)),
        macs=macs,
    )


class Cost:
    """What a model costs when so many channels of each group stay."""

    def __init__(self, graph: Propagation, groups: Sequence[Group], chooser: Chooser) -> None:
        self.graph, self.groups, self.chooser = graph, groups, chooser
        self._weights = []
        for weight in graph.weights.values():
            sizes = zip(weight.variable.shape, weight.axes, strict=True)
            constant = int(np.prod([size for size, label in sizes if label is None], dtype=np.int64))
            self._weights.append(Product(constant, tuple(label for label in weight.axes if label is not None)))
        self._total_parameters = int(graph.model.count_params())
        self.total_macs = describe.describe(graph.model).macs
        full = [len(group) for group in groups]
        self._full = {kind: self._sum(kind, full) for kind in ("weights", "macs")}
        if self._full["macs"] > (self.total_macs or 0):  # Counted in two ways, of which one is wrong: neither is told.
            self.total_macs = None

    def parameters(self, counts: Counts) -> int:
        """Returns the number of weights; those that no rule knows stay as they are."""
        return self._total_parameters - self._full["weights"] + self._sum("weights", counts)

    def macs(self, counts: Counts) -> int:
        """Returns the multiply-accumulates; what no rule knows stays as it is."""
        return (self.total_macs or 0) - self._full["macs"] + self._sum("macs", counts)

    def _sum(self, kind: str, counts: Counts) -> int:
        products = self._weights if kind == "weights" else self.graph.macs
        stays = keeping(self.graph, self.groups, self.chooser.kept(counts))
        return sum(product.value(stays) for product in products)


def _check(given: dict[str, Any], round_to: int, scope: str) -> None:
    said = [name for name, value in given.items() if value is not None]
    if len(said) != 1:
        what = " and ".join(said) if said else "nothing"
        raise UserError(f"{what} given; expected exactly one of ratio, macs_ratio and size_bytes")
    value = given[said[0]]
    if said[0] == "ratio" and not 0 < value < 1:
        why = "it would empty every layer" if value >= 1 else "nothing would go"
        raise UserError(f"ratio is {value:g}: {why}", "give the share that goes, above 0 and below 1, such as 0.5")
    if said[0] == "macs_ratio" and not 0 < value <= 1:
        raise UserError(f"macs_ratio is {value:g}; expected above 0 and at most 1", "it is after / before")
    if said[0] == "size_bytes" and value <= 0:
        raise UserError(f"size_bytes is {value}; expected above 0")
    if round_to < 1:
        raise UserError(f"round_to is {round_to}; expected at least 1")
    if scope not in SCOPES:
        raise UserError(f"scope is {scope!r}; expected {' or '.join(SCOPES)}")


def _within_macs(chooser: Chooser, cost: Cost, macs_ratio: float) -> Counts:
    total = cost.total_macs
    if not total:
        unknown = describe.describe(cost.graph.model).not_counted
        named = ", ".join(f"{layer}: {reason}" for layer, reason in list(unknown.items())[:3])
        raise UserError(
            f"macs_ratio cannot be met: the model's multiplications are not known ({named})", "give ratio or size_bytes"
        )
    return chooser.within(macs_ratio, lambda counts: cost.macs(counts) / total, "macs_ratio", "{:.3f}")


def _given_counts(groups: Sequence[Group], counts: Mapping[str, int]) -> Counts:
    known = {group.name: group for group in groups}
    for name, count in counts.items():
        if name not in known:
            raise UserError(f"counts: no group {name!r} that can shrink", f"known: {', '.join(known)}")
        if not 1 <= count <= len(known[name]):
            raise UserError(f"counts: {name!r} has {len(known[name])} {known[name].kind}; {count} cannot stay")
    return [counts.get(group.name, len(group)) for group in groups]


def _keep_named(graph: Propagation, keep: Sequence[str]) -> None:
    """Fixes what the named layers make and give. Raises UserError for a name or pattern that fits no layer."""
    names = {call.layer.name for call in graph.calls}
    for pattern in keep:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, sorted(names), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"layers: {', '.join(sorted(names)[:10])}, ..."
            raise UserError(f"keep: no layer is called {pattern!r}", hint)
        made = [atom for atom, name in enumerate(graph.atoms.producers) if name and fnmatch.fnmatchcase(name, pattern)]
        graph.atoms.fix(np.array(made, np.int64), "kept, as asked")
        for call in graph.calls:
            if fnmatch.fnmatchcase(call.layer.name, pattern):
                for tensor in call.outputs:
                    for label in graph.labels[id(tensor)]:
                        if label is not None:
                            graph.atoms.fix(label, "kept, as asked")


def _with_graph(model: Any) -> Any:
    """Returns the model itself where all of its calls are recorded, else one through the door."""
    return model if is_tf_keras(model) and _recorded(model) else door.load(model)


def _recorded(model: Any) -> bool:
    if not TF_KERAS.has_graph(model):
        return False
    inner = (call.layer for call in TF_KERAS.calls(model))
    return all(_recorded(layer) for layer in inner if TF_KERAS.is_model(layer))
