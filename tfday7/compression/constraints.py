"""What later steps must keep of a weight: which of its values are zero, and which share one value.

Pruning and clustering are worth something only if training afterwards keeps what they made. Here it does, by
projection: after each step of the optimizer the zeros are zero again (projected gradient descent), and all weights of a
cluster have their mean, so each cluster moves as one (Han et al., 2016, arXiv:1510.00149, section 3.3). TFMOT masks
weights in the forward pass alone, and the zeros drift in the last step (model-optimization#720, #721); its
cluster-preserving training assigns weights anew, and loses clusters (#1056).

The projections are tf_keras's variable constraints, set on the variables of a model that is built. They are no part of
its configuration, so no file and no copy of the model has them.

A weight is named by its path, "layer/weight": "conv/kernel", "lstm/recurrent_kernel", "attention/query/kernel"; in a
nested model "nested/conv/kernel".

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf

MOST_VALUES = 256  # More different values are no clusters.


@dataclasses.dataclass(frozen=True, eq=False)
class Kept:
    """What has to stay as it is in one weight.

    Attributes:
        zeros: bool, of the weight's shape: True where it is zero; None where zeros do not matter.
        clusters: int, of the weight's shape: weights with the same number have the same value; None for no clusters.
            Where `zeros` is True the number means nothing.
    """

    zeros: np.ndarray | None = None
    clusters: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Weight:
    """A variable of a model, and where it is.

    Attributes:
        path: its name; see the module.
        place: of the layer in the model, "conv" or "nested/conv": the path up to the layer that a model lists.
        layer: the layer that owns it: inside of wrappers, of recurrent layers the cell.
        name: in its layer, "kernel".
        variable: float32; never the wrapper that mixed precision puts around it.
    """

    path: str
    place: str
    layer: Any
    name: str
    variable: Any


def weights(model: Any) -> dict[str, Weight]:
    """Returns all variables of a built model by path, each once, those of nested models and wrappers too.

    In a model with fake quantization the paths are those of the model that was wrapped: "quant_" is left out.
    """
    found: dict[str, Weight] = {}
    seen: set[int] = set()
    for place, layer in _places(model):
        for parts, owner, variable in _variables(layer):
            bare = _bare(variable)
            if id(bare) not in seen:
                seen.add(id(bare))
                path = _free("/".join((place, *parts)), found)
                found[path] = Weight(path, place, owner, parts[-1], bare)
    return found


def zeros(model: Any, paths: Iterable[str] | None = None) -> dict[str, Kept]:
    """Returns the zeros that a model has now.

    Args:
        model: a built tf_keras model.
        paths: of the weights to look at; None for all matrices and kernels. Those without zeros are left out, and
            those that are all zero, which are waiting to be trained.
    """
    masks = {path: np.equal(weight.variable.numpy(), 0) for path, weight in _chosen(model, paths).items()}
    return {path: Kept(zeros=mask) for path, mask in masks.items() if mask.any() and not mask.all()}


def clusters(model: Any, paths: Iterable[str] | None = None, most: int = MOST_VALUES) -> dict[str, Kept]:
    """Returns which weights have equal values now.

    Args:
        model: a built tf_keras model.
        paths: of the weights to look at; None for all matrices and kernels. Left out are those that have more than
            `most` different values, or nearly as many as weights.
        most: see `paths`.
    """
    kept = {}
    for path, weight in _chosen(model, paths).items():
        values = weight.variable.numpy()
        different, assigned = np.unique(values, return_inverse=True)
        if len(different) <= min(most, values.size // 2):
            mask = np.equal(values, 0)
            kept[path] = Kept(mask if mask.any() else None, assigned.reshape(values.shape).astype(np.int32))
    return kept


def merge(first: Mapping[str, Kept], second: Mapping[str, Kept]) -> dict[str, Kept]:
    """Returns what keeps all zeros of both, and the clusters of the second, or of the first where that has none."""
    merged = dict(first)
    for path, kept in second.items():
        before = merged.get(path, Kept())
        masks = [mask for mask in (before.zeros, kept.zeros) if mask is not None]
        mask = np.logical_or.reduce(masks) if masks else None
        merged[path] = Kept(mask, kept.clusters if kept.clusters is not None else before.clusters)
    return merged


def attach(model: Any, kept: Mapping[str, Kept]) -> None:
    """Makes every later step of an optimizer keep this, in the place of what was attached before; applies it at once.

    A constraint that the variable has of itself is applied first. Training needs `Keeping`, too, a callback.

    Args:
        model: a built tf_keras model; it may be wrapped for quantization. Changed in place.
        kept: by path.

    Raises:
        ValueError: the model has no such weight, or one of another shape: what was to be kept would be lost in silence.
    """
    known = weights(model)
    for path, each in kept.items():
        if path not in known:
            raise ValueError(f"{path} has zeros or clusters to keep, but the model has no such weight")
        shape = tuple(known[path].variable.shape)
        for array in (each.zeros, each.clusters):
            if array is not None and array.shape != shape:
                raise ValueError(f"{path} is {shape}; what is to be kept of it is {array.shape}")
    detach(model)
    for path, each in kept.items():
        variable = known[path].variable
        variable._constraint = Projection(path, each, variable.constraint)
        variable.assign(variable._constraint.projected(variable))


def detach(model: Any) -> None:
    """Takes away what `attach` has set; constraints that the variables had of themselves are theirs again."""
    for variable, projection in attached(model):
        variable._constraint = projection.own


def attached(model: Any) -> list[tuple[Any, Projection]]:
    """Returns the variables whose values are kept, with the projection that does it."""
    found = [_bare(variable) for variable in model.variables]
    return [(each, each.constraint) for each in found if isinstance(each.constraint, Projection)]


def project(model: Any) -> None:
    """Applies what is attached, where something else than an optimizer has set the weights."""
    for variable, projection in attached(model):
        variable.assign(projection.projected(variable))


class Projection:
    """The nearest weight that has these zeros and clusters; what tf_keras calls a constraint.

    Args:
        path: of the weight.
        kept: its zeros and clusters.
        own: the constraint that the variable had, applied first; None for none.

    Attributes:
        also: applied after a step of the optimizer, too, and in `projected`: an object that takes a tensor and a bool
            (whether a step was made) and returns one; None for none. A schedule that zeroes more and more uses it.
    """

    def __init__(self, path: str, kept: Kept, own: Any = None) -> None:
        self.path = path
        self.kept = kept
        self.own = own
        self.also: Any = None
        self._zeros = None if kept.zeros is None or not kept.zeros.any() else tf.constant(kept.zeros)
        self._segments: Any = None
        if kept.clusters is not None:
            # Zeros have a segment of their own: they must not pull at the mean of a cluster.
            numbers = kept.clusters + 1 if kept.zeros is None else np.where(kept.zeros, 0, kept.clusters + 1)
            _, dense = np.unique(numbers, return_inverse=True)
            self._segments = tf.constant(dense.reshape(-1), tf.int32)
            self._count = int(dense.max()) + 1

    def __call__(self, weight: Any) -> Any:
        """Returns the projected weight after a step of an optimizer, which calls this in its graph."""
        value = tf.convert_to_tensor(weight)
        if self.own is not None:
            value = self.own(value)
        value = self.nearest(value)
        return value if self.also is None else self.also(value, True)

    def projected(self, weight: Any) -> Any:
        """Returns the projected weight."""
        value = self.nearest(tf.convert_to_tensor(weight))
        return value if self.also is None else self.also(value, False)

    def nearest(self, value: Any) -> Any:
        """Returns the tensor that is nearest to a tensor among those with these zeros and clusters."""
        if self._segments is not None:
            # In float64 the mean of equal float32 numbers is that very number: what is projected stays as it is.
            flat = tf.cast(tf.reshape(value, [-1]), tf.float64)
            means = tf.math.unsorted_segment_mean(flat, self._segments, self._count)
            value = tf.cast(tf.reshape(tf.gather(means, self._segments), tf.shape(value)), value.dtype)
        return value if self._zeros is None else tf.where(self._zeros, tf.zeros_like(value), value)


class Keeping(keras.callbacks.Callback):
    """Projects what training does besides a step: the gradients of clusters before it, and averages after it.

    Without the former Adam and its like, which scale the update of each weight by itself, would let the weights of a
    cluster cancel each other out: it would hardly move.

    Averages (EMA, Lookahead, schedule-free) are lent to the model for validation. Projections are linear, so the
    projected average is the average of what was projected.
    """

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Lets the optimizer see projected gradients."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        apply = type(optimizer).apply_gradients.__get__(optimizer)

        def apply_projected(gradients: Iterable[tuple[Any, Any]], *args: Any, **settings: Any) -> Any:
            return apply([(_gradient(each, variable), variable) for each, variable in gradients], *args, **settings)

        optimizer.apply_gradients = apply_projected

    def on_test_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Projects before the first batch, when `Averaging` has lent the averages."""
        if batch == 0:
            project(self.model)


def _gradient(gradient: Any, variable: Any) -> Any:
    projection = _bare(variable).constraint
    if gradient is None or not isinstance(projection, Projection) or projection.kept.clusters is None:
        return gradient
    return projection.nearest(tf.convert_to_tensor(gradient))


def _chosen(model: Any, paths: Iterable[str] | None) -> dict[str, Weight]:
    known = weights(model)
    if paths is None:
        trained = {id(_bare(variable)) for variable in model.trainable_variables}
        return {
            path: each for path, each in known.items() if each.variable.shape.rank >= 2 and id(each.variable) in trained
        }
    return {path: known[path] for path in paths}


def _free(path: str, taken: Mapping[str, Any]) -> str:
    """Returns the path, counted up where a layer has several variables of one name; their order is always the same."""
    number, free = 1, path
    while free in taken:
        number += 1
        free = f"{path}_{number}"
    return free


def _places(model: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each layer that is no model, with its place."""
    for layer in model.layers:
        place = f"{before}{_name(layer)}"
        if isinstance(layer, keras.Model):
            yield from _places(layer, f"{place}/")
        else:
            yield place, layer


def _variables(layer: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yields (parts of the name, owner, variable) of a layer and what is inside of it."""
    if _quantizes(layer):  # It replaces the attributes of the layer inside by tensors; the variables are its own.
        inner = {id(variable) for variable in layer.layer._non_trainable_weights}
        for variable in [*layer._trainable_weights, *(each for each in layer.weights if id(each) in inner)]:
            yield (_leaf(variable),), layer.layer, variable
        return
    for variable in [*layer._trainable_weights, *layer._non_trainable_weights]:
        yield (_leaf(variable),), layer, variable
    for inner in layer._flatten_layers(recursive=False, include_self=False):
        if isinstance(inner, keras.Model):
            for place, each in _places(inner):
                for parts, owner, variable in _variables(each):
                    yield (*place.split("/"), *parts), owner, variable
        else:
            for parts, owner, variable in _variables(inner):
                yield (*_between(layer, inner), *parts), owner, variable


def _between(outer: Any, inner: Any) -> tuple[str, ...]:
    """Returns the part of a path that tells an inner layer from its neighbours.

    A cell and a wrapped layer have none: they are what the outer layer is, and a cell of a copy has another name.
    """
    if isinstance(outer, keras.layers.Bidirectional):
        return ("forward",) if inner is outer.forward_layer else ("backward",)
    if isinstance(outer, keras.layers.RNN | keras.layers.StackedRNNCells | keras.layers.Wrapper):
        return ()
    return (inner.name,)


def _name(layer: Any) -> str:
    return layer.layer.name if _quantizes(layer) else layer.name


def _quantizes(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Wrapper) and hasattr(layer, "quantize_config")


def _leaf(variable: Any) -> str:
    return variable.name.split(":")[0].split("/")[-1]


def _bare(variable: Any) -> Any:
    """Returns the variable inside of the one that mixed precision shows to layers."""
    return variable._variable if hasattr(variable, "true_dtype") else variable
