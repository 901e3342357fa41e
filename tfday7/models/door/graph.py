"""One view of the two Kerases' graphs: which layers were called, in which order, on what.

Both record every call of a layer on symbolic tensors as a node, under different names. `Side` hides the names, so that
the rebuild is written once for both directions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer (or operation) on symbolic tensors; `outputs` is the flat list of what it returned."""

    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


class TfKerasSide:
    """tf_keras functional and Sequential models."""

    name = "tf_keras"
    builtin = ("tf_keras.",)

    def is_model(self, layer: Any) -> bool:
        """Returns whether the layer is a model (and not a layer that merely is made of some)."""
        return isinstance(layer, keras.Model)

    def has_graph(self, model: Any) -> bool:
        """Returns whether the model's calls are recorded: functional, or Sequential with a known input shape."""
        return isinstance(model, keras.Model) and bool(getattr(model, "_is_graph_network", False))

    def structure(self, model: Any) -> tuple[Any, Any]:
        """Returns the model's symbolic inputs and outputs, nested as its caller passes and gets them."""
        return model._nested_inputs, model._nested_outputs

    def calls(self, model: Any) -> list[Call]:
        """Returns the calls that lead from the inputs to the outputs, in an order in which they can be repeated."""
        found = []
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if not node.is_input:
                    outputs = tf.nest.flatten(node.outputs)
                    found.append(Call(node.layer, tuple(node.call_args), dict(node.call_kwargs), outputs))
        return found

    def is_symbolic(self, value: Any) -> bool:
        """Returns whether the value is a tensor of a model that is being put together."""
        return keras.backend.is_keras_tensor(value) if tf.is_tensor(value) else False

    def map(self, function: Callable[[Any], Any], nest: Any) -> Any:
        """Returns the nest with the function applied to its leaves."""
        return tf.nest.map_structure(function, nest)

    def flatten(self, nest: Any) -> list[Any]:
        """Returns the leaves of a nest."""
        return list(tf.nest.flatten(nest))

    def functional(self, inputs: Any, outputs: Any, name: str) -> Any:
        """Returns a functional model."""
        return keras.Model(inputs=inputs, outputs=outputs, name=name)

    def input_layer(self, tensor: Any) -> Any:
        """Returns the layer that a model's input tensor comes from."""
        return tensor._keras_history.layer


class Keras3Side(TfKerasSide):
    """Keras 3 functional and Sequential models."""

    name = "Keras 3"
    builtin = ("keras.",)

    def is_model(self, layer: Any) -> bool:
        return isinstance(layer, keras3.Model)

    def has_graph(self, model: Any) -> bool:
        return self._function(model) is not None

    def structure(self, model: Any) -> tuple[Any, Any]:
        function = self._function(model)
        return function._inputs_struct, function._outputs_struct

    def calls(self, model: Any) -> list[Call]:
        function, found = self._function(model), []
        needed = {id(tensor) for tensor in self.flatten(function._outputs_struct)}
        for depth in sorted(function._nodes_by_depth):  # From the outputs back, to see what leads nowhere.
            for node in function._nodes_by_depth[depth]:
                if node.is_input or not any(id(output) in needed for output in node.outputs):
                    continue
                args, kwargs = tuple(node.arguments.args), self._own_kwargs(node.operation, node.arguments)
                found.append(Call(node.operation, args, kwargs, list(node.outputs)))
                needed.update(id(leaf) for leaf in self.flatten([list(args), kwargs]) if self.is_symbolic(leaf))
        return found[::-1]

    def _own_kwargs(self, layer: Any, arguments: Any) -> dict[str, Any]:
        """Returns a call's keyword arguments without those that Keras 3 itself added.

        It adds the masks of the inputs, which the layers of either Keras find again, and the default of `training`.
        That one goes even where a person wrote it, because the value that `fit` and `predict` pass overrides it in
        Keras 3 (`operation_fn` in keras/src/models/functional.py), and in tf_keras would not.
        """
        kwargs = dict(arguments.kwargs)
        if not isinstance(layer, keras3.layers.Layer):
            return kwargs
        kwargs.pop("training", None)
        leaves = self.flatten([list(arguments.args), kwargs])
        found = {id(leaf._keras_mask) for leaf in leaves if getattr(leaf, "_keras_mask", None) is not None}
        for key in [key for key in kwargs if key == "mask" or key.endswith("_mask")]:
            masks = [leaf for leaf in self.flatten(kwargs[key]) if self.is_symbolic(leaf)]
            if kwargs[key] is None or (masks and all(id(mask) in found for mask in masks)):
                del kwargs[key]
        return kwargs

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, keras3.KerasTensor)

    def map(self, function: Callable[[Any], Any], nest: Any) -> Any:
        return keras3.tree.map_structure(function, nest)

    def flatten(self, nest: Any) -> list[Any]:
        return list(keras3.tree.flatten(nest))

    def functional(self, inputs: Any, outputs: Any, name: str) -> Any:
        return keras3.Model(inputs=inputs, outputs=outputs, name=name)

    def input_layer(self, tensor: Any) -> Any:
        return tensor._keras_history.operation

    def _function(self, model: Any) -> Any:
        if isinstance(model, keras3.Sequential):
            return model._functional
        return model if isinstance(model, keras3.Model) and hasattr(model, "_nodes_by_depth") else None


Side = TfKerasSide

TF_KERAS = TfKerasSide()
KERAS3 = Keras3Side()


def is_keras3(model: Any) -> bool:
    """Returns whether an object is a Keras 3 model or layer, without loading either Keras."""
    return any(kind.__module__ == "keras.src.layers.layer" for kind in type(model).__mro__)


def is_tf_keras(model: Any) -> bool:
    """Returns whether an object is a tf_keras model or layer, without loading either Keras."""
    return any(kind.__module__ == "tf_keras.src.engine.base_layer" for kind in type(model).__mro__)


def no_graph(model: Any) -> UserError:
    """Returns the error for a model whose calls are not recorded."""
    what = f"model {model.name!r} ({type(model).__name__}) has no input shape yet"
    return UserError(what, "call it once on data, or build(input_shape), before it is converted")
