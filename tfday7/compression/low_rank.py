"""Low-rank factorization: one large layer becomes two small ones whose product is the best approximation of it.

A kernel seen as a matrix [inputs, outputs] has singular values; keeping the r largest gives the nearest matrix of rank
r, at a distance of sqrt(the sum of the squares that are left out) (Eckart & Young, 1936). Applied as two layers, inputs
-> r -> outputs, it takes r (inputs + outputs) instead of inputs x outputs parameters and multiplications. Of a
convolution the window stays with the first layer, and the second is 1x1 (Zhang et al., 2016, arXiv:1505.06798, without
its nonlinear part).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.models.door import (
    convert,  # noqa: F401 - It fills the tables of rules.
    tied,
)
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rebuild import Rebuild
from tfday7.models.door.settings import without_arrays

SUFFIX = "_low_rank"
KINDS = ("Dense", "Conv1D", "Conv2D", "Conv3D")
Skip = Callable[[str, str], Any]


@dataclasses.dataclass(frozen=True)
class Factors:
    """A layer's kernel as a matrix, decomposed.

    Attributes:
        place: of the layer in the model, "dense" or "nested/dense".
        layer: the layer.
        left, values, right: U [inputs, n], s [n] and V [n, outputs], n = min(inputs, outputs); U diag(s) V is the
            kernel, its window's axes among the inputs.
    """

    place: str
    layer: Any
    left: np.ndarray
    values: np.ndarray
    right: np.ndarray

    @property
    def inputs(self) -> int:
        """Rows of the matrix: a window's positions x channels."""
        return len(self.left)

    @property
    def outputs(self) -> int:
        """Columns of the matrix: units or filters."""
        return self.right.shape[1]

    @property
    def parameters(self) -> int:
        """Of the kernel as it is."""
        return self.inputs * self.outputs

    def parameters_at(self, rank: int) -> int:
        """Of the two kernels of a rank."""
        return rank * (self.inputs + self.outputs)

    def rank_of(self, energy: float) -> int:
        """Returns the smallest rank with at least this share of the sum of the squared singular values."""
        squares = np.square(self.values)
        if squares.sum() == 0:
            return 1
        kept = np.cumsum(squares) / squares.sum()
        return min(1 + int(np.sum(kept < energy - 1e-12)), len(squares))

    def energy_at(self, rank: int) -> float:
        """Returns the share of the sum of the squared singular values that a rank keeps."""
        squares = np.square(self.values)
        return float(squares[:rank].sum() / squares.sum()) if squares.sum() else 1.0

    def error_at(self, rank: int) -> float:
        """Returns the Frobenius distance between the kernel and its approximation."""
        return float(np.sqrt(np.square(self.values[rank:]).sum()))

    def kernels(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the two kernels, in the layers' shapes; the singular values are shared evenly."""
        shape, root = tuple(self.layer.kernel.shape), np.sqrt(self.values[:rank])
        first = (self.left[:, :rank] * root).reshape(*shape[:-1], rank)
        second = (root[:, np.newaxis] * self.right[:rank]).reshape(*(1,) * (len(shape) - 2), rank, shape[-1])
        return first.astype(np.float32), second.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which layers are to be split, and at which rank.

    Attributes:
        model: the model, which stays as it is.
        ranks: (factors, rank) of each layer.
    """

    model: Any
    ranks: tuple[tuple[Factors, int], ...]

    def records(self) -> list[dict[str, Any]]:
        """Returns what becomes of each layer, as JSON values."""
        return [
            {
                "layer": each.place,
                "matrix": [each.inputs, each.outputs],
                "rank": rank,
                "parameters": [each.parameters, each.parameters_at(rank)],
                "energy": round(each.energy_at(rank), 6),
                "error": each.error_at(rank),
            }
            for each, rank in self.ranks
        ]

    def __str__(self) -> str:
        lines = [
            f"{each.place}: {each.inputs} x {each.outputs}, rank {rank}: {each.parameters:,} -> "
            f"{each.parameters_at(rank):,} parameters, {each.energy_at(rank):.2%} of the energy"
            for each, rank in self.ranks
        ]
        return "\n".join(lines) or "nothing to factorize"

    def apply(self) -> Any:
        """Returns a new functional model with two layers, NAME and NAME_low_rank, for each that is split."""
        return _Split(self).model(self.model)


def plan(
    model: Any,
    energy: float | None = None,
    ratio: float | None = None,
    min_parameters: int = 1024,
    wide: bool = False,
    keep: Collection[str] = (),
    skip: Skip = lambda layer, reason: None,
) -> Plan:
    """Returns which layers of a model to split, at which rank.

    Args:
        model: a tf_keras functional model; nested and shared layers are split once for all their calls.
        energy: share of each kernel's sum of squared singular values to keep, above 0 to 1.
        ratio: share of the parameters of all these kernels together to remove, instead: the energy, the same for all,
            is the largest that does it.
        min_parameters: kernels with fewer are left alone.
        wide: whether to split convolutions with a window larger than 1, too.
        keep: names of layers to leave alone, of all of that name, or "nested/dense" of one in a nested model.
        skip: told (layer, reason) of each layer with a large kernel that is left alone.

    Raises:
        UserError: neither or both of energy and ratio are given, a name in `keep` is no layer's, no layer can be split,
            or rank 1 everywhere is not small enough.
    """
    if (energy is None) == (ratio is None):
        raise UserError(f"energy is {energy} and ratio {ratio}; expected one of them")
    layers = list(_layers(model))
    unknown = sorted(set(keep) - {name for place, layer in layers for name in (place, layer.name)})
    if unknown:
        places = ", ".join(place for place, _ in layers)
        raise UserError(f"keep names {unknown[0]!r}, which is no layer of the model", f"it has {places}")
    found = []
    tied_to = {id(variable): call.layer.name for call, variable in tied.ties(model)}
    for place, layer in layers:
        kept = place in keep or layer.name in keep
        reason = "kept, as asked for" if kept else _reason(layer, wide, tied_to)
        if reason == "" and layer.kernel.shape.num_elements() >= min_parameters:
            found.append(_decomposed(place, layer))
        elif reason and sum(weight.shape.num_elements() for weight in layer.weights) >= min_parameters:
            skip(place, reason)
    if not found:
        raise UserError(
            f"no layer of {model.name!r} can be split in two: none with a plain kernel of at least {min_parameters:,} "
            "parameters",
            "give a smaller min_parameters, or wide for convolutions with a window, or leave low_rank out",
        )
    if energy is None:
        energy = _energy_of(found, float(ratio or 0.0))
    chosen = []
    for each in found:
        rank = each.rank_of(energy)
        if each.parameters_at(rank) < each.parameters:
            chosen.append((each, rank))
        else:
            skip(each.place, f"rank {rank}, for {energy:.2%} of its energy, would not save parameters")
    return Plan(model, tuple(chosen))


class _Split(Rebuild):
    """A rebuild in which the calls of some layers become calls of two."""

    def __init__(self, chosen: Plan) -> None:
        super().__init__(TF_KERAS, TF_KERAS)
        self.chosen = {id(each.layer): (each, rank) for each, rank in chosen.ranks}
        self.pairs: dict[int, tuple[Any, Any]] = {}  # id -> the two layers
        self.taken = {layer.name for _, layer in _layers(chosen.model)}

    def model(self, model: Any) -> Any:
        """Returns the rebuilt model, with weights."""
        new = super().model(model)
        for identity, (first, second) in self.pairs.items():
            each, rank = self.chosen[identity]
            kernels = each.kernels(rank)
            first.set_weights([kernels[0]])
            second.set_weights([kernels[1], *each.layer.get_weights()[1:]])
            first.trainable = second.trainable = each.layer.trainable
        return new

    def called(self, call: Call, tensors: dict[int, Any]) -> Any:
        """Returns the outputs of the new layer, or of the two, called as the old one was."""
        if id(call.layer) not in self.chosen:
            return super().called(call, tensors)
        first, second = self._pair(call.layer)
        return second(first(*self._swap(call.args, tensors), **self._swap(call.kwargs, tensors)))

    def _pair(self, layer: Any) -> tuple[Any, Any]:
        if id(layer) not in self.pairs:
            each, rank = self.chosen[id(layer)]
            name = layer.name + SUFFIX
            while name in self.taken:  # It has been split before, or another model inside has one.
                name += SUFFIX
            self.taken.add(name)
            self.pairs[id(layer)] = _two_layers(each, rank, name)
        return self.pairs[id(layer)]


def _two_layers(factors: Factors, rank: int, name: str) -> tuple[Any, Any]:
    """Returns new layers, inputs -> rank and rank -> outputs; the second has the name, bias and activation."""
    layer, config = factors.layer, factors.layer.get_config()
    without_arrays(config)
    size = "units" if type(layer).__name__ == "Dense" else "filters"
    plain = {"use_bias": False, "activation": "linear", "activity_regularizer": None, "bias_regularizer": None}
    first = {**config, **plain, "bias_constraint": None, size: rank}
    second = {**config, "name": name}
    second.pop("batch_input_shape", None)
    if size == "filters":
        ones = [1] * layer.rank
        second |= {"kernel_size": ones, "strides": ones, "dilation_rate": ones, "padding": "valid"}
    return type(layer).from_config(first), type(layer).from_config(second)


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Yields every layer that is called in a model or in a model nested in it, once, with its place before it."""
    seen: set[int] = set()
    waiting = [("", model)]
    while waiting:
        before, inside = waiting.pop(0)
        for call in TF_KERAS.calls(inside):
            if id(call.layer) in seen:
                continue
            seen.add(id(call.layer))
            place = f"{before}{call.layer.name}"
            if TF_KERAS.has_graph(call.layer):
                waiting.append((f"{place}/", call.layer))
            else:
                yield place, call.layer


def _reason(layer: Any, wide: bool, tied_to: Mapping[int, str]) -> str:
    """Returns why a layer cannot be split; "" if it can. `tied_to` names what reads a variable beside its layer."""
    if type(layer) not in [getattr(keras.layers, name) for name in KINDS]:
        return f"{type(layer).__name__} is no plain Dense or convolution"
    readers = [tied_to[id(weight)] for weight in layer.weights if id(weight) in tied_to]
    if readers:
        return f"{readers[0]} reads its weights too"
    if layer.kernel_constraint is not None:
        return "its kernel has a constraint, which its factors would not meet"
    if getattr(layer, "groups", 1) > 1:
        return f"a convolution in {layer.groups} groups"
    if not wide and any(size > 1 for size in getattr(layer, "kernel_size", ())):
        return "a convolution with a window; wide splits those, too"
    return ""


def _decomposed(place: str, layer: Any) -> Factors:
    kernel = np.asarray(layer.kernel, np.float64)
    left, values, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
    return Factors(place, layer, left, values, right)


def _energy_of(found: list[Factors], ratio: float) -> float:
    """Returns the largest energy at which the layers together lose this share of their kernels' parameters."""
    budget = (1.0 - ratio) * sum(each.parameters for each in found)

    def needed(energy: float) -> int:
        return sum(min(each.parameters, each.parameters_at(each.rank_of(energy))) for each in found)

    if needed(0.0) > budget:
        raise UserError(
            f"ratio={ratio:g} of {sum(each.parameters for each in found):,} parameters cannot go: rank 1 everywhere "
            f"leaves {needed(0.0):,}",
            f"at most ratio={1.0 - needed(0.0) / sum(each.parameters for each in found):.3f}",
        )
    low, high = 0.0, 1.0  # `low` always meets the budget; 50 halvings are finer than the energies differ.
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if needed(middle) <= budget else (low, middle)
    return low
