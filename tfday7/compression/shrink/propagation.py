"""Walks a functional model once, call by call, and labels every tensor, weight and setting.

What no rule knows is left alone: its inputs must stay whole, with its name as the reason.
"""

from __future__ import annotations

from typing import Any

from tfday7.compression.shrink import rules
from tfday7.compression.shrink.atoms import Atoms, Vector
from tfday7.compression.shrink.labels import Labels, Product, Weight
from tfday7.compression.shrink.visit import Visit, rule_of
from tfday7.models.door import tied
from tfday7.models.door.graph import TF_KERAS, Call


class Propagation:
    """What a model's channels are.

    Attributes:
        atoms: the classes of channels.
        labels: by the identity of a tensor.
        weights: by the identity of a variable.
        settings: by the identity of a layer: path in its settings -> value.
        arguments: by the identity of a call's first output: argument of a TensorFlow function -> value.
        summed: by the same: (tensor, axis) over which the call sums without weights.
        macs: the multiplications of one example that rules know of.
        consumers: by the identity of a tensor, the calls that read it.
        calls: all of them, those in nested models too.
        outer: the identities of the tensors that lie in no nested model.
        shapes: by the identity of a result of tf.shape, the labels of what it is the shape of.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.atoms = Atoms()
        self.labels: dict[int, Labels] = {}
        self.weights: dict[int, Weight] = {}
        self.settings: dict[int, dict[tuple[str, ...], Any]] = {}
        self.arguments: dict[int, dict[str, Any]] = {}
        self.summed: dict[int, list[tuple[Any, int]]] = {}
        self.produced: dict[tuple[int, str], Vector] = {}
        self.macs: list[Product] = []
        self._model_macs: dict[int, list[Product]] = {}
        self.consumers: dict[int, list[Call]] = {}
        self.calls: list[Call] = []
        self.outer: set[int] = set()
        self.shapes: dict[int, Labels] = {}
        rules.load()
        self._read_consumers(model, set())
        inputs = TF_KERAS.flatten(TF_KERAS.structure(model)[0])
        self._walk(model, [[None] * len(tensor.shape) for tensor in inputs])
        for tensor in TF_KERAS.flatten(TF_KERAS.structure(model)[1]):
            for label in self.labels[id(tensor)]:
                if label is not None:
                    self.atoms.fix(label, "the model's output")
        self._fix_tied()

    def _fix_tied(self) -> None:
        """Keeps the size of weights that an operation reads too, beside their layer."""
        for call, variable in tied.ties(self.model):
            weight = self.weights.get(id(variable))
            for label in weight.axes if weight is not None else []:
                if label is not None:
                    self.atoms.fix(label, f"read too, beside its layer, by {call.layer.name!r}")

    def symbolic(self, call: Call) -> list[Any]:
        """Returns the tensors that a call reads, in order."""
        leaves = TF_KERAS.flatten([list(call.args), call.kwargs])
        return [leaf for leaf in leaves if TF_KERAS.is_symbolic(leaf)]

    def _read_consumers(self, model: Any, seen: set[int]) -> None:
        seen.add(id(model))
        for call in TF_KERAS.calls(model):
            for tensor in self.symbolic(call):
                self.consumers.setdefault(id(tensor), []).append(call)
            if TF_KERAS.has_graph(call.layer) and id(call.layer) not in seen:
                self._read_consumers(call.layer, seen)

    def _walk(self, model: Any, inputs: list[Labels]) -> None:
        for tensor, labels in zip(TF_KERAS.flatten(TF_KERAS.structure(model)[0]), inputs, strict=True):
            self.labels[id(tensor)] = labels
        for call in TF_KERAS.calls(model):
            tensors = self.symbolic(call)
            visit = Visit(
                self,
                call.layer,
                call,
                [self.labels[id(tensor)] for tensor in tensors],
                [tuple(tensor.shape) for tensor in tensors],
                [tuple(tensor.shape) for tensor in call.outputs],
            )
            for tensor, labels in zip(call.outputs, self._results(visit), strict=True):
                self.labels[id(tensor)] = labels
                if model is self.model:
                    self.outer.add(id(tensor))
            self.calls.append(call)

    def _results(self, visit: Visit) -> list[Labels]:
        if TF_KERAS.has_graph(visit.layer):
            return self._model(visit)
        return (rule_of(visit.layer) or unknown)(visit)

    def _model(self, visit: Visit) -> list[Labels]:
        """Labels a model inside the model; a further call joins its labels to those of the first."""
        inputs, outputs = (TF_KERAS.flatten(part) for part in TF_KERAS.structure(visit.layer))
        if len(inputs) != len(visit.inputs):
            return unknown(visit)
        macs = len(self.macs)
        if id(inputs[0]) not in self.labels:
            self._walk(visit.layer, visit.inputs)
            self._model_macs[id(visit.layer)] = self.macs[macs:]
        else:
            for tensor, labels in zip(inputs, visit.inputs, strict=True):
                for first, second in zip(self.labels[id(tensor)], labels, strict=True):
                    if first is not second:
                        visit.join(first, second, "read with fewer channels elsewhere by the shared")
            self.macs += self._model_macs[id(visit.layer)]
        return [self.labels[id(tensor)] for tensor in outputs]


def unknown(visit: Visit, why: str = "read by the unknown layer") -> list[Labels]:
    """Returns whole outputs, and fixes what comes in."""
    for labels in visit.inputs:
        visit.fix_all(labels, why)
    return [[None] * len(shape) for shape in visit.outputs]
