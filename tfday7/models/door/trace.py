"""Finds the graph of a subclassed model, or of a layer made of layers, by calling it on symbolic tensors.

Its `call` runs on tensors that record which layers they pass; the result is a functional model of the very same layers.
That works as long as `call` is made of Keras layers and operations, every weight belongs to one of them, and training
takes the same way through them: what is under `if training:` is not in the graph.
"""

from __future__ import annotations

import inspect
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models.door.graph import KERAS3, Side


def can_be_traced(layer: Any, side: Side) -> bool:
    """Returns whether it is worth trying: a subclassed model, or a user's layer that holds layers."""
    return side.is_model(layer) or any(True for _ in layer._flatten_layers(include_self=False))


def traced(layer: Any, side: Side) -> Any:
    """Returns a functional model of the layer's own layers.

    Raises:
        UserError: it was never called, its call needs values, it has weights that no layer of it owns, or other layers
            are called in training.
    """
    kind = type(layer).__name__
    hint = f"@tfday7.models.register({kind}) on a function that returns the equal tf_keras layer (docs/keras3_door.md)"
    inputs = (_keras3_inputs if side is KERAS3 else _tf_keras_inputs)(layer)
    if inputs is None:
        what = f"{layer.name!r} ({kind}) was never called, so the shapes of its inputs are unknown"
        raise UserError(what, "call it once on a batch of data before it is converted")
    asks = "training" in inspect.signature(layer.call).parameters and "training" not in inputs
    model = _called(layer, side, inputs, {"training": None} if asks else {}, hint)
    found = {id(variable) for variable in model.variables}
    lost = [variable.name for variable in layer.weights if id(variable) not in found]
    if lost:
        what = f"{layer.name!r}: {kind} uses weights of its own, outside of its layers ({', '.join(lost[:3])})"
        raise UserError(what, hint)
    trained = _called(layer, side, inputs, {"training": True}, hint) if asks else model
    if _steps(trained, side, layer) != _steps(model, side, layer):
        what = f"{layer.name!r}: the call of {kind} does other things in training, which a graph of its layers cannot"
        raise UserError(what, f"pass training= on to the layers instead of asking for it, or {hint}")
    return model


def _called(layer: Any, side: Side, inputs: dict[str, Any], extra: dict[str, Any], hint: str) -> Any:
    try:
        outputs = layer.call(**inputs, **extra)
        return side.functional(_given(inputs), outputs, layer.name)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        what = f"{layer.name!r}: the call of {type(layer).__name__} is not made of Keras layers only: {reason[:200]}"
        raise UserError(what, hint) from error


def _steps(model: Any, side: Side, layer: Any) -> list[Any]:
    """Returns what a trace calls, on which of the tensors before it: equal for two traces that compute the same.

    Args:
        model: the trace.
        side: the Keras that it belongs to.
        layer: what was traced; its own layers are the same in each trace, operations are made anew.
    """
    own = {id(one) for one in layer._flatten_layers(include_self=False)}
    inputs, outputs = side.structure(model)
    places = {id(tensor): place for place, tensor in enumerate(side.flatten(inputs))}
    steps: list[Any] = []
    for call in side.calls(model):
        is_own = id(call.layer) in own
        kwargs = {key: call.kwargs[key] for key in sorted(call.kwargs) if key != "training"}
        args = [value for place, value in enumerate(call.args) if not (is_own and place == _training(call.layer))]
        given = [places.get(id(leaf), repr(leaf)) for leaf in side.flatten([args, kwargs])]
        steps.append((id(call.layer) if is_own else _described(call.layer), list(kwargs), given))
        for tensor in call.outputs:
            places.setdefault(id(tensor), len(places))
    return [*steps, [places[id(tensor)] for tensor in side.flatten(outputs)]]


def _training(layer: Any) -> int | None:
    """Returns the place of `training` among the arguments of a layer's call, None where it has no place."""
    parameters = list(inspect.signature(layer.call).parameters.values())
    placed = [each.name for each in parameters if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return placed.index("training") if "training" in placed else None


def _described(operation: Any) -> str:
    try:
        settings = {key: value for key, value in operation.get_config().items() if key != "name"}
    except (NotImplementedError, TypeError, ValueError):  # It was made with what its settings cannot say.
        settings = {}
    return f"{type(operation).__name__} {settings}"


def _keras3_inputs(layer: Any) -> dict[str, Any] | None:
    shapes = layer._build_shapes_dict
    if not layer.built or not shapes:
        return None

    def tensor(shape: Any, name: str | None = None) -> Any:
        return keras3.Input(batch_shape=(None, *shape[1:]), dtype=layer.input_dtype, name=name)

    names = [name for name in inspect.signature(layer.call).parameters if name not in ("training", "mask")]
    if len(shapes) == 1:
        return {names[0]: _each_shape(tensor, next(iter(shapes.values())))}
    return {key.removesuffix("_shape"): _each_shape(tensor, shape) for key, shape in shapes.items()}


def _tf_keras_inputs(layer: Any) -> dict[str, Any] | None:
    spec = layer.save_spec() if hasattr(layer, "save_spec") else None
    if spec is None:
        return None
    (args, kwargs), names = spec, list(inspect.signature(layer.call).parameters)

    def tensor(one: Any) -> Any:
        name = str(one.name or "").split("/")[0] or None  # tf_keras names a dict's members by their keys.
        return keras.Input(batch_shape=(None, *one.shape[1:]), dtype=one.dtype, name=name)

    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: tf.nest.map_structure(tensor, value) for name, value in given.items() if name != "training"}


def _each_shape(make: Any, shapes: Any) -> Any:
    """Returns the structure of tensors for a structure of shapes, which are tuples or lists of numbers themselves."""
    if isinstance(shapes, dict):
        return {
            key: make(shape, key) if _is_shape(shape) else _each_shape(make, shape) for key, shape in shapes.items()
        }
    if _is_shape(shapes):
        return make(shapes)
    return type(shapes)(_each_shape(make, shape) for shape in shapes)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def _given(inputs: dict[str, Any]) -> Any:
    values = list(inputs.values())
    return values[0] if len(values) == 1 else values
