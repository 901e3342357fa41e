"""Rebuilds a functional model in the other Keras (or anew in the same), call by call.

Layers are made once and called as often as they were called before, so shared layers and shared models stay shared;
a model inside a model is rebuilt as a model. Weights are copied at the end, when every layer is built.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models.door import rules, tied, trace
from tfday7.models.door.graph import KERAS3, TF_KERAS, Call, Side, no_graph
from tfday7.models.door.lookups import LOOKUPS, learned
from tfday7.models.door.settings import NoEqualError, carried, with_policy
from tfday7.models.door.weights import copy_weights, model_weights

_OURS = (
    "tfday7.models.door.",
    "tfday7.compression.qat.",
    "tensorflow_model_optimization.",
)  # Classes that have rules though no Keras has them.


class Rebuild:
    """One rebuild; what it has made is remembered by the identity of the original.

    Args:
        source: the Keras that the model comes from.
        target: the Keras to rebuild it in.
        dtype_policy: the name of the policy that replaces every layer's own, or None.
    """

    def __init__(self, source: Side, target: Side, dtype_policy: str | None = None) -> None:
        self.source = source
        self.target = target
        self.framework = keras if target is TF_KERAS else keras3
        self.dtype_policy = dtype_policy
        self._names: set[str] = set()  # Of operations, and of layers that are operations.
        self._reserved: set[str] = set()  # Of all layers of the original.
        self._rebuilt: set[int] = set()  # Of models, whose weights are their layers'.
        self._owned: set[int] = set()  # Of all weights of the original.
        self._traced: list[Any] = []
        self.sources: dict[int, Any] = {}  # id -> the layer whose weights are copied in its place
        self.made: dict[int, tuple[Any, Any]] = {}  # id -> (the original, which must stay alive; the new layer)

    def model(self, model: Any) -> Any:
        """Returns the rebuilt model, with weights."""
        new = self.layer(model)
        for original, layer in self.made.values():
            if id(original) not in self._rebuilt and hasattr(layer, "weights"):
                given = self.sources.get(id(original), original)
                copy_weights(given, layer, rules.outgoing_changes(given) if self._leaves(given) else None)
        # The outermost model first, because it sets its layers' flags too.
        for original, layer in reversed(self.made.values()):
            if hasattr(original, "trainable") and layer.trainable != original.trainable:
                layer.trainable = original.trainable
        return new

    def graph(self, model: Any) -> Any:
        """Returns the rebuilt model, whose weights are not copied yet."""
        if id(model) in self.made:
            return self.made[id(model)][1]
        self._owned |= {id(variable) for variable in model.weights}
        with self._naming(model):
            new = self._functional(self._with_graph(model))
        self.made[id(model)] = (model, new)
        self._rebuilt.add(id(model))
        return new

    def _with_graph(self, model: Any) -> Any:
        if self.source.has_graph(model):
            return model
        if type(model).__module__.startswith(self.source.builtin):
            raise no_graph(model)
        functional = trace.traced(model, self.source)
        self._traced.append(functional)  # It must stay alive: what was made is remembered by identity.
        return functional

    def _functional(self, model: Any) -> Any:
        tensors: dict[int, Any] = {}
        inputs, outputs = self.source.structure(model)
        for tensor in self.source.flatten(inputs):
            tensors[id(tensor)] = self._input(tensor)
        for call in self.source.calls(model):
            self._repeat(call, tensors)
        return self.target.functional(
            self._swap(inputs, tensors), self._swap(outputs, tensors), self.new_name(model.name)
        )

    def layer(self, layer: Any) -> Any:
        """Returns the new layer for a layer (or model) of the original; the same one each time."""
        if id(layer) in self.made:
            return self.made[id(layer)][1]
        new = self.inner(layer)
        self.made[id(layer)] = (layer, new)
        return new

    def inner(self, layer: Any) -> Any:
        """Returns a new layer for one that another layer holds; the holder's weights are copied, not its."""
        registered = self.source is KERAS3 and type(layer) in rules.REGISTERED
        return self.graph(layer) if self.source.is_model(layer) and not registered else self._rule(layer)

    def same(self, layer: Any, class_name: str = "", **changes: Any) -> Any:
        """Returns the layer of the same class name with the same settings; `changes` as for `settings.carried`."""
        kind = getattr(self.framework.layers, class_name or type(layer).__name__, None)
        if kind is None:
            raise self.unsupported(layer)
        settings = carried(layer, kind, self.source, self.framework, **changes)
        settings["name"] = self.new_name(settings["name"])
        if self.dtype_policy is not None and "dtype" not in changes.get("drop", ()):
            settings["dtype"] = self.dtype_policy
        return kind(**settings)

    def new_name(self, name: str) -> str:
        """Returns the name that a layer gets: its own, but Keras 3 allows no slash ("conv1/bn" in older models)."""
        return name.replace("/", "_") if self.target is KERAS3 else name

    def unsupported(self, layer: Any) -> NoEqualError:
        """Returns the error for a layer that no rule carries over."""
        kind = type(layer)
        hint = (
            f"add one: @tfday7.models.register({kind.__name__}) on a function that returns the equal tf_keras layer"
            if self.source is KERAS3
            else "use layers that both Kerases have, or register the Keras 3 class of a layer of your own"
        )
        return NoEqualError(
            f"layer {layer.name!r}: no way is known to carry {kind.__module__}.{kind.__qualname__} over from "
            f"{self.source.name} to {self.target.name}",
            f"{hint} (docs/keras3_door.md)",
        )

    def _rule(self, layer: Any) -> Any:
        kind = type(layer)
        if self.source is KERAS3 and kind in rules.REGISTERED:
            new = rules.REGISTERED[kind](layer)
            rules.RETURNING.setdefault(type(new), kind)
            return new
        if self.source is self.target:
            return self.again(layer)
        if not kind.__module__.startswith((*self.source.builtin, *_OURS)):
            return self._users(layer)
        table = rules.INCOMING if self.source is KERAS3 else rules.OUTGOING
        rule = table.get(kind.__name__)
        try:
            return rule(layer, self) if rule is not None else self.same(layer)
        except NoEqualError:
            kept = self._kept(layer)
            if kept is None:
                raise
            return kept

    def _kept(self, layer: Any) -> Any:
        """Returns the tf_keras layer that holds a Keras 3 layer which tf_keras has no equal of, or None."""
        if self.source is not KERAS3:
            return None
        from tfday7.models.door import kept, keras3_classes

        known = keras3_classes.name_of(type(layer)) is not None
        return kept.keep_layer(layer, self.dtype_policy) if known else None

    def _users(self, layer: Any) -> Any:
        kind: Any = rules.RETURNING.get(type(layer))
        if self.source is TF_KERAS and kind is not None:
            return kind.from_config(layer.get_config())
        if trace.can_be_traced(layer, self.source):
            return self.graph(layer)
        raise self.unsupported(layer)

    def config(self, layer: Any) -> dict[str, Any]:
        """Returns the settings that a layer is made again from."""
        return dict(layer.get_config())

    def again(self, layer: Any) -> Any:
        """Returns a new layer of the very same class."""
        config = self.config(layer)
        if getattr(layer, "fused", None) is False:
            config["fused"] = False  # The settings leave it out; see layers.py.
        if type(layer).__name__ not in (*LOOKUPS, "Discretization") and self.dtype_policy is not None:
            config = with_policy(config, self.dtype_policy)
        config |= learned(layer)
        try:
            return type(layer).from_config(config)
        except (TypeError, ValueError) as error:  # Its author gave it what settings cannot say: a bare function, say.
            reason = str(error).splitlines()[0]
            raise UserError(
                f"layer {layer.name!r} ({type(layer).__name__}) cannot be made again from its settings: {reason}",
                'give activations and the like by name, for example activation="softmax"',
            ) from error

    def input_shape(self, tensor: Any) -> tuple[Any, ...]:
        """Returns the shape that the input in a tensor's place gets, with the batch."""
        return tuple(tensor.shape)

    def _input(self, tensor: Any) -> Any:
        original = self.source.input_layer(tensor)
        dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
        sparse, ragged = bool(getattr(original, "sparse", False)), bool(getattr(original, "ragged", False))
        if sparse or ragged:
            raise UserError(
                f"input {original.name!r} is {'sparse' if sparse else 'ragged'}; expected a dense input",
                "make the tensor dense before the model",
            )
        if self.dtype_policy is not None and dtype.startswith(("float", "bfloat")):
            dtype = "float32"
        name = self.new_name(original.name)
        return self.framework.Input(batch_shape=self.input_shape(tensor), dtype=dtype, name=name)

    def _repeat(self, call: Call, tensors: dict[int, Any]) -> None:
        with self._naming(call.layer):
            tensors.update({id(one): self.variable(one, call) for one in tied.variables(call, self.source)})
            outputs = self.target.flatten(self._outputs(call, tensors))
        if len(outputs) != len(call.outputs):
            raise self.unsupported(call.layer)
        tensors.update({id(old): new for old, new in zip(call.outputs, outputs, strict=True)})

    def variable(self, variable: Any, call: Call) -> Any:
        """Returns the new model's weight in the place of one that a call reads. Raises UserError."""
        if id(variable) not in self._owned:
            return variable  # No layer's: never trained, a number like others.
        if self.source is not self.target:
            raise tied.no_file(call, variable)
        for original, new in self.made.values():
            if id(original) in self._rebuilt or not hasattr(new, "weights"):
                continue
            places = [place for place, one in enumerate(model_weights(original)) if one is variable]
            if places and new.built:
                return model_weights(new)[places[0]]
        raise tied.not_made(call, variable)

    def _outputs(self, call: Call, tensors: dict[int, Any]) -> Any:
        rule = rules.outgoing_call_rule(call.layer) if self._leaves(call.layer) else None
        if rule is not None:
            before = {id(tensor) for tensor in tensors.values()}
            outputs = rule(call, tensors, self)
            self._name_operations(outputs, before, call.layer.name)
            return outputs
        if self.source is KERAS3 and self.target is TF_KERAS and not isinstance(call.layer, keras3.layers.Layer):
            from tfday7.models.door import operations_in  # It needs both Kerases.

            return operations_in.repeat(call, tensors, self.free_name(call.layer.name))
        return self.called(call, tensors)

    def called(self, call: Call, tensors: dict[int, Any]) -> Any:
        """Returns the outputs of the new layer, called as the old one was."""
        args, kwargs = self._swap(call.args, tensors), self._swap(call.kwargs, tensors)
        new = self.layer(call.layer)
        if self._leaves(call.layer) and isinstance(new, (keras3.layers.RNN, keras3.layers.Bidirectional)):
            args, kwargs = _with_states(args, kwargs)
        if self.source is KERAS3 and isinstance(new, (keras.layers.RNN, keras.layers.Bidirectional)):
            _check_mask(call)
        return new(*args, **kwargs)

    @contextlib.contextmanager
    def _naming(self, layer: Any) -> Iterator[None]:
        """Says which layer it was when a Keras raises in the block. Raises UserError."""
        try:
            yield
        except UserError:
            raise
        except (TypeError, ValueError, RuntimeError, tf.errors.InvalidArgumentError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UserError(
                f"layer {layer.name!r} ({type(layer).__name__}) cannot be called in {self.target.name} as it was in "
                f"{self.source.name}: {reason[:200]}",
                "use layers and arguments that both Kerases have (docs/keras3_door.md)",
            ) from error

    def free_name(self, name: str) -> str:
        """Returns the name, or with a number behind it when an operation or another layer has it."""
        free, count = self.new_name(name), 0
        while free in self._names or (count and free in self._reserved):
            count += 1
            free = f"{self.new_name(name)}_{count}"
        self._names.add(free)
        return free

    def _name_operations(self, outputs: Any, before: set[int], name: str) -> None:
        """Names the Keras 3 operations that a call became after the tf_keras layer: Keras 3's own names may be taken.

        Args:
            outputs: what the call returned.
            before: the identities of the tensors that were there before it.
            name: the tf_keras layer's name; the last operation gets it, unless a layer has it.
        """
        waiting = self.target.flatten(outputs)
        made: list[Any] = []
        while waiting:
            tensor = waiting.pop(0)
            operation = tensor._keras_history.operation
            if id(tensor) in before or any(operation is one for one in made):
                continue
            made.append(operation)
            waiting.extend(operation._inbound_nodes[tensor._keras_history.node_index].input_tensors)
        operations = [one for one in made if not isinstance(one, keras3.layers.Layer)]
        for index, operation in enumerate(operations):
            last = index == 0 and len(operations) == len(made)
            operation.name = self.free_name(name if last else f"{name}.{type(operation).__name__.lower()}")

    def _leaves(self, layer: Any) -> bool:
        return self.source is TF_KERAS and self.target is KERAS3 and not isinstance(layer, keras.Model)

    def _swap(self, nest: Any, tensors: dict[int, Any]) -> Any:
        return self.source.map(lambda leaf: tensors.get(id(leaf), leaf), nest)


def _check_mask(call: Call) -> None:
    """Raises UserError when a recurrent layer of Keras 3 passes over the mask of its sequences: tf_keras's would not.

    Keras 3 looks for a mask only where the sequences are the only tensors, and hands it on to the outputs all the same.
    """
    history = call.outputs[0]._keras_history
    explicit = history.operation._inbound_nodes[history.node_index].arguments.kwargs.get("mask")
    has_states = call.kwargs.get("initial_state") is not None or len(call.args) > 1
    if has_states and explicit is None and getattr(call.args[0], "_keras_mask", None) is not None:
        raise UserError(
            f"layer {call.layer.name!r} ({type(call.layer).__name__}) is called with initial_state= on masked "
            "sequences, whose mask Keras 3 does not use there",
            "give the mask to the call (mask=embedding.compute_mask(tokens)), or make the sequences without one",
        )


def _with_states(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns a recurrent layer's arguments as Keras 3 takes them.

    tf_keras records the initial states behind the sequences, in one list. Keras 3 has an argument for them, but looks
    for a mask only where the sequences are the only tensors: so it is given the mask. A layer with constants, which
    only tf_keras has, does not get here: its settings say how many.
    """
    states = kwargs.get("initial_state")
    kwargs = {key: value for key, value in kwargs.items() if key not in ("constants", "initial_state")}
    sequences, *others = args
    if isinstance(sequences, list):
        sequences, *states = sequences
    if not states:
        return (sequences, *others), kwargs
    mask = getattr(sequences, "_keras_mask", None)
    implied = {"mask": mask} if mask is not None and kwargs.get("mask") is None else {}
    return (sequences, *others), {**kwargs, **implied, "initial_state": states}
