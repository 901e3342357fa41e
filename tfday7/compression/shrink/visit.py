"""One call of a layer, as a rule sees it: what comes in, labelled, and the words in which a rule says what it does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfday7.compression.shrink.atoms import Vector
from tfday7.compression.shrink.labels import Count, Labels, Product, Weight, counted
from tfday7.models.door.graph import Call

if TYPE_CHECKING:
    from tfday7.compression.shrink.propagation import Propagation

Shape = tuple[Any, ...]
Rule = Callable[["Visit"], list[Labels]]
LAYERS: dict[str | type, Rule] = {}  # By the name of one of Keras's or the door's classes, or by a class of a user's.
KNOWN = ("tf_keras.", "tfday7.models.door.")  # Where those classes are; another's of the same name is not one of them.
# Activations that compute each value from itself alone, whatever Keras they come from.
ELEMENTWISE = frozenset((
    *("linear", "relu", "relu6", "elu", "selu", "celu", "gelu", "mish", "swish", "silu", "sigmoid", "hard_sigmoid"),
    *("log_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink", "squareplus", "softplus"),
    *("softsign", "exponential", "leaky_relu", "hard_silu", "hard_swish", "threshold", "sparse_plus"),
))  # fmt: skip


def rule(*kinds: str | type) -> Callable[[Rule], Rule]:
    """Returns a decorator: the rule says what layers of these classes do; it returns the labels of each output.

    Args:
        kinds: names of Keras's own classes, or classes of your own, themselves.
    """

    def add(function: Rule) -> Rule:
        for kind in kinds:
            if kind in LAYERS:
                raise ValueError(f"two rules for {kind}")
            LAYERS[kind] = function
        return function

    return add


def rule_of(layer: Any) -> Rule | None:
    """Returns the rule of a layer's class; None where there is none."""
    kind = type(layer)
    return LAYERS.get(kind) or (LAYERS.get(kind.__name__) if kind.__module__.startswith(KNOWN) else None)


@dataclasses.dataclass
class Visit:
    """A call of a layer.

    Attributes:
        graph: what is known so far.
        layer: the layer; inside a wrapper the wrapped one.
        call: the call in the model.
        inputs: the labels of each tensor that comes in, in order; with the batch axis, which is None.
        shapes: their shapes.
        outputs: the shapes of what goes out.
        path: where the layer's settings are in those of the layer that the model has.
    """

    graph: Propagation
    layer: Any
    call: Call
    inputs: list[Labels]
    shapes: list[Shape]
    outputs: list[Shape]
    path: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The layer's kind and name, for reasons."""
        return f"{type(self.layer).__name__} {self.call.layer.name!r}"

    def fix(self, label: Vector | None, why: str) -> None:
        """Marks what is labelled as what must stay; `why` continues "it is"."""
        if label is not None:
            self.graph.atoms.fix(label, f"{why} {self.name}")

    def fix_all(self, labels: Sequence[Vector | None], why: str) -> None:
        """The same for every axis."""
        for label in labels:
            self.fix(label, why)

    def only(self, labels: Labels, axis: int, why: str) -> Labels:
        """Returns the labels with those of all axes but one fixed and gone."""
        kept: Labels = [None] * len(labels)
        kept[axis] = labels[axis]
        for index, label in enumerate(labels):
            if index != axis % len(labels):
                self.fix(label, why)
        return kept

    def join(self, first: Vector | None, second: Vector | None, why: str = "joined to what cannot go in") -> Any:
        """Returns the label of two axes that are one from here on."""
        if first is not None and second is not None:
            if len(first) == len(second):
                self.graph.atoms.union(first, second)
            else:
                self.fix_all((first, second), "joined to an axis of another size in")
            return first
        self.fix_all((first, second), why)
        return first if first is not None else second

    def produce(self, role: str, count: int, kind: str) -> Vector:
        """Returns the atoms of what the layer makes: the same for every call. `role` tells several sets apart."""
        key = (id(self.layer), role)
        if key not in self.graph.produced:
            self.graph.produced[key] = self.graph.atoms.new(count, self.call.layer.name, kind)
        return self.graph.produced[key]

    def whole(self, count: int, why: str) -> Vector:
        """Returns fresh atoms that stay, for a part of an axis of which nothing can go."""
        atoms = self.graph.atoms.new(count, "", "channels")
        self.fix(atoms, why)
        return atoms

    def weight(
        self,
        variable: Any,
        axes: Sequence[Vector | None],
        consumed: Sequence[int] = (),
        produced: Sequence[int] = (),
        source: tuple[int, int] | None = None,
    ) -> None:
        """Says how a variable is labelled; `source` is the number of the input and its axis. None of it: no variable.

        A shared layer says it once a call: then the labels are joined.
        """
        if variable is None:
            return
        known = self.graph.weights.get(id(variable))
        if known is not None:
            for before, now in zip(known.axes, axes, strict=True):
                if before is not now:
                    self.join(before, now, "read with fewer channels elsewhere by the shared")
            return
        rank = len(variable.shape)
        tensors = [] if self.path else self.graph.symbolic(self.call)
        read = (tensors[source[0]], source[1]) if source is not None and source[0] < len(tensors) else None
        self.graph.weights[id(variable)] = Weight(
            variable,
            self.call.layer.name,
            list(axes),
            tuple(axis % rank for axis in consumed),
            tuple(axis % rank for axis in produced),
            read,
        )

    def set(self, setting: str, value: Any) -> None:
        """Says how a setting counts channels: a vector (its positions), or a nest with `Count` and `Chosen` inside."""
        value = Count(value) if hasattr(value, "dtype") and not isinstance(value, Count) else value
        self.graph.settings.setdefault(id(self.call.layer), {})[(*self.path, setting)] = value

    def set_sizes(self, setting: str, given: Sequence[Any], labels: Sequence[Vector | None]) -> None:
        """Says a setting of sizes: those given, counted where an axis is labelled; an open one follows from the others.

        A shared layer says it once a call, maybe of tensors of other sizes: then the labels are joined.
        """
        told = [None if size in (-1, None) else label for size, label in zip(given, labels, strict=True)]
        before = self.graph.settings.get(id(self.call.layer), {}).get((*self.path, setting))
        if before is None:
            self.set(setting, counted(given, told))
            return
        for first, now in zip(before, told, strict=True):
            label = first.label if isinstance(first, Count) else None
            if label is not now:
                self.join(label, now, "given fewer channels elsewhere by the shared")

    def cost(self, sizes: Sequence[Any], labels: Sequence[Vector | None], variable: Any = None) -> None:
        """Says a number of multiplications: sizes, each counted by its label, times the size of the variable.

        An open size makes the number unknown; then `describe` knows none either.
        """
        sizes, labels = list(sizes), list(labels)
        if variable is not None:
            sizes += list(variable.shape)
            labels += self.graph.weights[id(variable)].axes
        if None not in sizes:
            constant = math.prod(size for size, label in zip(sizes, labels, strict=True) if label is None)
            self.graph.macs.append(Product(constant, tuple(label for label in labels if label is not None)))

    def activated(self, function: Any, labels: Labels, axis: int = -1) -> None:
        """Fixes an axis under an activation that is not known to treat each value by itself."""
        name = getattr(function, "keras3_name", None) or getattr(function, "__name__", type(function).__name__)
        module = str(getattr(function, "__module__", ""))
        ours = (
            module.startswith(("tf_keras.", "keras.", "tensorflow.python.", "tfday7.models.door")) or function is None
        )
        if function is not None and not (ours and name in ELEMENTWISE):
            self.fix(labels[axis], f"under the activation {name!r}, which may mix channels, in")

    def inside(
        self, layer: Any, path: Sequence[str], inputs: list[Labels], shapes: list[Shape], outputs: list[Shape]
    ) -> Visit:
        """Returns the visit of a layer that this one wraps."""
        return Visit(self.graph, layer, self.call, inputs, shapes, outputs, (*self.path, *path))

    def ignore(self, tensor: Any, axis: int) -> None:
        """Says that the call sums over an axis without weights: the masked model has to zero what goes there."""
        self.graph.summed.setdefault(id(self.call.outputs[0]), []).append((tensor, axis))

    def rewrite(self, argument: str, value: Any) -> None:
        """Says what an argument of the call becomes, by its name in the function's signature."""
        self.graph.arguments.setdefault(id(self.call.outputs[0]), {})[argument] = value
