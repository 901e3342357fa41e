"""How much each channel matters: one number a class, by five rules.

magnitude   the L2 norm of the weights that make it (Li et al., 2017, arXiv:1608.08710)
bn_scale    the size of its scale in batch normalization (Liu et al., 2017, arXiv:1708.06519)
taylor      how much the loss would change without it, to first order: sum |w dL/dw| over the weights that make it
            (Molchanov et al., 2019, arXiv:1906.10771)
activation  its mean absolute value on data, times the norm of the weights that read it (after Luo et al., 2017,
            arXiv:1707.06342)
random      for comparison

The numbers of a group are divided by their mean, so that groups can be compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfday7.compression.shrink.groups import Group
from tfday7.compression.shrink.labels import Weight
from tfday7.compression.shrink.propagation import Propagation
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data.dataset import Dataset

EXAMPLES = 512
BATCH_SIZE = 64
NEED_DATA = ("taylor", "activation")
_GIVE_DATA = "give a Dataset as data=, or use importance='magnitude'"
Scores = np.ndarray  # By class, that is by the number of the atom that stands for it; NaN where the rule says nothing.


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a rule may look at: the model's channels, data where it was given, and a seed."""

    graph: Propagation
    data: Dataset | None
    seed: int


def importance(
    name: str, graph: Propagation, groups: Sequence[Group], data: Dataset | None, seed: int
) -> tuple[list[np.ndarray], list[str]]:
    """Returns the importance of the classes of each group, mean 1, and notes on where another rule had to serve.

    Raises:
        UserError: an unknown rule, or data that is missing or does not fit the model.
    """
    if name not in RULES:
        raise UserError(f"importance is {name!r}; expected one of {', '.join(RULES)}")
    if name in NEED_DATA:
        _check_data(graph.model, data, name)
    given = Evidence(graph, data, seed)
    scores = RULES[name](given)
    fallback = _magnitude(given) if name != "magnitude" else scores
    found, lacking = [], []
    for group in groups:
        own = scores[group.classes]
        if np.isnan(own).any():
            lacking.append(group.name)
            own = fallback[group.classes]
        mean = float(own.mean())
        found.append(own / mean if mean > 0 else np.ones_like(own))
    notes = []
    if lacking:
        named = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        notes.append(f"{name} says nothing of {named}: judged by magnitude")
    return found, notes


def _check_data(model: Any, data: Dataset | None, name: str) -> None:
    if data is None:
        raise UserError(f"importance {name} needs data", _GIVE_DATA)
    if len(model.inputs) != 1 or (name == "taylor" and len(model.outputs) != 1):
        sides = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise UserError(f"importance {name} needs one of each; the model has {sides}", "use importance='magnitude'")
    expected, given = tuple(model.inputs[0].shape[1:]), tuple(data.problem.input_shape)
    if len(expected) != len(given) or any(e not in (None, g) for e, g in zip(expected, given, strict=True)):
        raise UserError(f"the data has examples of shape {given}; the model takes {expected}")
    if not len(data.train):
        raise UserError("the data has no training examples", "give some, or use importance='magnitude'")


def _gather(graph: Propagation, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Scores:
    """Returns the sum by class of (labels, numbers)."""
    roots, size = graph.atoms.roots(), len(graph.atoms)
    total, seen = np.zeros(size), np.zeros(size, bool)
    for label, numbers in parts:
        np.add.at(total, roots[label], numbers)
        seen[roots[label]] = True
    return np.where(seen, total, np.nan)


def _produced(weights: Sequence[Weight]) -> list[tuple[Weight, int, np.ndarray]]:
    return [
        (weight, axis, label)
        for weight in weights
        for axis in weight.produced
        if (label := weight.axes[axis]) is not None
    ]


def _others(value: np.ndarray, axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(value.ndim) if other != axis)


def _magnitude(given: Evidence) -> Scores:
    parts = []
    for weight, axis, label in _produced(list(given.graph.weights.values())):
        value = np.asarray(weight.variable).astype(np.float64)
        parts.append((label, np.square(value).sum(axis=_others(value, axis))))
    return np.sqrt(_gather(given.graph, parts))


def _bn_scale(given: Evidence) -> Scores:
    parts = []
    for call in given.graph.calls:
        gamma = getattr(call.layer, "gamma", None) if "BatchNormalization" in type(call.layer).__name__ else None
        weight = given.graph.weights.get(id(gamma))
        if weight is not None and weight.axes and weight.axes[0] is not None:
            parts.append((weight.axes[0], np.abs(np.asarray(gamma).astype(np.float64))))
    return _gather(given.graph, parts)


def _taylor(given: Evidence) -> Scores:
    from tfday7.training.objective import objective  # It loads TensorFlow.

    model, produced = given.graph.model, _produced(list(given.graph.weights.values()))
    variables = list({id(weight.variable): weight.variable for weight, _, _ in produced}.values())
    data = _data(given)
    x, y = _examples(data, given.seed)
    loss = objective(data.problem, model)["loss"]
    total = [np.zeros(tuple(variable.shape)) for variable in variables]
    for start in range(0, len(x), BATCH_SIZE):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = loss(y[start : start + BATCH_SIZE], model(x[start : start + BATCH_SIZE], training=False))
        share = len(x[start : start + BATCH_SIZE]) / len(x)
        for index, gradient in enumerate(tape.gradient(value, variables)):
            if gradient is not None:
                total[index] += share * np.asarray(tf.convert_to_tensor(gradient))
    by_variable = {id(variable): value for variable, value in zip(variables, total, strict=True)}
    parts = []
    for weight, axis, label in produced:
        change = np.abs(np.asarray(weight.variable) * by_variable[id(weight.variable)])
        parts.append((label, change.sum(axis=_others(change, axis))))
    return _gather(given.graph, parts)


def _activation(given: Evidence) -> Scores:
    graph, model = given.graph, given.graph.model
    read = [weight for weight in graph.weights.values() if _outer_source(graph, weight)]
    tensors = list({id(weight.source[0]): weight.source[0] for weight in read if weight.source}.values())
    if not tensors:
        return np.full(len(graph.atoms), np.nan)
    x, _ = _examples(_data(given), given.seed)
    inner = keras.Model(model.inputs, tensors)
    sums: list[Any] = [0.0] * len(tensors)
    for start in range(0, len(x), BATCH_SIZE):
        values = inner(x[start : start + BATCH_SIZE], training=False)
        for index, value in enumerate(values if isinstance(values, (list, tuple)) else [values]):
            sums[index] = sums[index] + np.abs(np.asarray(value, np.float64)).sum(axis=0)
    means = {id(tensor): total / len(x) for tensor, total in zip(tensors, sums, strict=True)}
    parts = []
    for weight in read:
        tensor, axis = weight.source or (None, 0)
        label, value = weight.axes[weight.consumed[0]], np.asarray(weight.variable).astype(np.float64)
        mean = means[id(tensor)]
        mean = mean.mean(axis=_others(mean, axis - 1))
        norm = np.sqrt(np.square(value).sum(axis=_others(value, weight.consumed[0])))
        if label is not None:
            parts.append((label, mean * norm))
    return _gather(given.graph, parts)


def _outer_source(graph: Propagation, weight: Weight) -> bool:
    """Returns whether what a weight reads can be computed: it lies in the outer model and has labels."""
    if weight.source is None or not weight.consumed or weight.axes[weight.consumed[0]] is None:
        return False
    return id(weight.source[0]) in graph.outer


def _random(given: Evidence) -> Scores:
    return np.random.default_rng(given.seed).uniform(0.5, 1.5, len(given.graph.atoms))


def _data(given: Evidence) -> Dataset:
    if given.data is None:
        raise UserError("this importance needs data", _GIVE_DATA)
    return given.data


def _examples(data: Dataset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns up to `EXAMPLES` training examples, drawn without replacement."""
    count = min(EXAMPLES, len(data.train))
    chosen = np.sort(np.random.default_rng(seed).choice(len(data.train), count, replace=False))
    return np.asarray(data.train.x[chosen]), np.asarray(data.train.y[chosen])


RULES: dict[str, Callable[[Evidence], Scores]] = {
    "magnitude": _magnitude,
    "taylor": _taylor,
    "bn_scale": _bn_scale,
    "activation": _activation,
    "random": _random,
}
