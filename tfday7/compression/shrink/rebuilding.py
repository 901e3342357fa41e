"""Makes the two models of a plan: the smaller one, and the one of the old size that ignores what goes.

Both are the model rebuilt call by call (`models.door.rebuild`), with other settings, arguments and weights.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfday7.compression.shrink.labels import Keep, resolve
from tfday7.compression.shrink.propagation import Propagation
from tfday7.core.frameworks import tf
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rebuild import Rebuild
from tfday7.models.door.settings import without_arrays
from tfday7.models.door.weights import model_weights


class _Rebuilt(Rebuild):
    """A rebuild in tf_keras whose layers get weights of their own making.

    Args:
        graph: what the model's channels are.
        keep: from labels to whether each position stays.
    """

    def __init__(self, graph: Propagation, keep: Keep) -> None:
        super().__init__(TF_KERAS, TF_KERAS)
        self.labelled = graph
        self.keep = keep

    def model(self, model: Any) -> Any:
        """Returns the rebuilt model."""
        new = self.layer(model)
        pairs = list(self.made.values())
        for original, layer in reversed(pairs):  # The outermost model first, because it sets its layers' flags too.
            if hasattr(original, "trainable") and layer.trainable != original.trainable:
                layer.trainable = original.trainable
        for original, layer in pairs:
            if id(original) not in self._rebuilt and hasattr(layer, "weights"):
                for source, target in zip(model_weights(original), model_weights(layer), strict=True):
                    target.assign(self.value(source))
                if layer.weights and type(layer).__name__ == "Normalization":
                    layer.finalize_state()  # It computes with a copy of its statistics.
        return new

    def value(self, variable: Any) -> Any:
        """Returns what the variable in this one's place holds."""
        raise NotImplementedError


class Shrunk(_Rebuilt):
    """Makes the model without what goes."""

    def value(self, variable: Any) -> Any:
        weight, value = self.labelled.weights.get(id(variable)), np.asarray(variable)
        return value if weight is None else weight.sliced(value, self.keep)

    def config(self, layer: Any) -> dict[str, Any]:
        config = super().config(layer)
        settings = self.labelled.settings.get(id(layer))
        if not settings:
            return config
        config = copy.deepcopy(config)
        _add_backward_sides(layer, config)
        for path, value in settings.items():
            inner = config
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = resolve(value, self.keep)
        for holder in _holders(config):
            without_arrays(holder)
        return config

    def input_shape(self, tensor: Any) -> tuple[Any, ...]:
        labels = self.labelled.labels[id(tensor)]
        shape = super().input_shape(tensor)
        return tuple(
            size if label is None else int(np.count_nonzero(self.keep(label)))
            for size, label in zip(shape, labels, strict=True)
        )

    def called(self, call: Call, tensors: dict[int, Any]) -> Any:
        changes = self.labelled.arguments.get(id(call.outputs[0]))
        if not changes:
            return super().called(call, tensors)
        bound = inspect.signature(call.layer.function).bind(*call.args, **call.kwargs)
        bound.arguments.update(resolve(changes, self.keep))
        return super().called(Call(call.layer, bound.args, bound.kwargs, call.outputs), tensors)


class Masked(_Rebuilt):
    """Makes the model of the old size in which every layer that reads what goes has zeros there."""

    def value(self, variable: Any) -> Any:
        weight, value = self.labelled.weights.get(id(variable)), np.asarray(variable)
        return value if weight is None else weight.masked(value, self.keep)

    def called(self, call: Call, tensors: dict[int, Any]) -> Any:
        own = dict(tensors)
        for tensor, axis in self.labelled.summed.get(id(call.outputs[0]), []):
            label = self.labelled.labels[id(tensor)][axis]
            stays = np.ones(1, bool) if label is None else self.keep(label)
            if not stays.all():  # A sum without weights: what goes is made zero on its way in.
                shape = [1] * len(tensor.shape)
                shape[axis] = -1
                own[id(tensor)] = own[id(tensor)] * tf.constant(stays.reshape(shape), tensor.dtype)
        return super().called(call, own)


def _add_backward_sides(layer: Any, config: dict[str, Any]) -> None:
    """Adds the backward side to a bidirectional layer's settings, which leave out one like the forward side."""
    if type(layer).__name__ == "Bidirectional":
        config["backward_layer"] = _as_given(layer.backward_layer)
    elif "layer" in config:
        _add_backward_sides(layer.layer, config["layer"]["config"])


def _as_given(backward: Any) -> dict[str, Any]:
    """Returns the settings of a bidirectional layer's backward side; the prefix of its name is put there again."""
    config = backward.get_config()
    config["name"] = config["name"].removeprefix("backward_")
    return {"module": "keras.layers", "class_name": type(backward).__name__, "config": config}


def _holders(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a layer's settings and those of the layers in it."""
    yield config
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), dict) and "config" in config[key]:
            yield from _holders(config[key]["config"])
