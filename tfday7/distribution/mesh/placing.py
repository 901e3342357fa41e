"""Puts a model on a mesh: builds it plain, then replaces each variable by one with the plan's layout and its value.

Built this way the values are those of the plain model to the last bit, whatever its initializers draw; initializing
inside a layout (`call_with_layout`) fails for random ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.distribution.mesh import operations, refusals, variables
from tfday7.distribution.mesh.axes import BATCH
from tfday7.distribution.mesh.plan import Plan

# Of the largest output, by what layers compute in: sums are in another order, nothing else differs.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


def place(build: Callable[[], Any], plan: Plan, mesh: Any) -> Any:
    """Returns the model with its variables on the mesh.

    Train it with `stepping.prepare`; it cannot be called, saved or exported itself: `copy_weights` gives its weights to
    a plain model.

    Args:
        build: makes the plain model that the plan was made for, with the same initial weights in every process.
        plan: of that model (`layouts.plan`).
        mesh: of the plan's axes (`device_mesh.make`).

    Raises:
        UserError: the model is another one, one of its layers would train differently than on one device
            (`refusals.check`), or DTensor cannot compute one of its operations.
    """
    model = build()
    _check_same(model, plan)
    refusals.check(model)
    expected = _probe(model, 2 * plan.axes.batch)
    replaced: dict[int, Any] = {}
    for variable, weight in zip(model.variables, plan.weights, strict=True):
        target = variables.layout(mesh, weight.specs)
        made = variables.make(variable.numpy(), target, variable.name.split(":")[0], variable.trainable)
        replaced[id(variable)] = _cast_like(variable, made)
    originals = list(model.variables)  # Alive until the end: their ids are keys.
    for layer in model._flatten_layers():
        _replace_in(layer, replaced, mesh)
    del originals
    for layer in model._flatten_layers(include_self=False):
        operations.unfuse(layer)
    for layer, (_, way) in zip(model.layers, plan.ways, strict=True):
        operations.adapt(layer, way, mesh)
    _check_outputs(model, expected, mesh)
    return model


def copy_weights(model: Any, other: Any) -> None:
    """Gives all weights of a model to another, each on any mesh or on none.

    Raises:
        UserError: they are different models.
    """
    pairs = list(zip(model.variables, other.variables, strict=False))
    if len(model.variables) != len(other.variables) or any(one.shape != two.shape for one, two in pairs):
        raise UserError(f"the weights of {model.name} do not fit {other.name}")
    for one, two in pairs:
        variables.write(two, variables.read(one))


def _check_same(model: Any, plan: Plan) -> None:
    have = [tuple(variable.shape) for variable in model.variables]
    want = [weight.shape for weight in plan.weights]
    if have != want:
        raise UserError(f"the plan is of another model: it has {len(want)} weights, the model {len(have)}")


def _cast_like(variable: Any, made: Any) -> Any:
    """Returns the new variable, cast where it is read if the old one was (mixed precision)."""
    from tf_keras.src.mixed_precision import autocast_variable

    if isinstance(variable, autocast_variable.AutoCastVariable):
        return autocast_variable.create_autocast_variable(made)
    return made


def _replace_in(layer: Any, replaced: dict[int, Any], mesh: Any) -> None:
    """Puts new variables wherever a layer holds old ones: attributes, lists, penalties and what a checkpoint tracks.

    Constants of a layer go to the mesh, too.
    """
    for name, value in list(vars(layer).items()):
        if id(value) in replaced:
            layer.__dict__[name] = replaced[id(value)]
        elif operations.is_array(value):
            constant = variables.pack(value.numpy(), variables.layout(mesh, [None] * value.shape.rank))
            layer.__dict__[name] = constant
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if id(item) in replaced:
                    value[index] = replaced[id(item)]
    for node in layer._inbound_nodes:  # What an operation on tensors was given besides them: positions, for example.
        for index, value in enumerate(node._flat_arguments):
            if operations.is_array(value):
                node._flat_arguments[index] = variables.pack(
                    value.numpy(), variables.layout(mesh, [None] * value.shape.rank)
                )
    layer._callable_losses[:] = [_rebound(loss, replaced) for loss in layer._callable_losses]
    layer._maybe_initialize_trackable()
    for reference in list(layer._unconditional_checkpoint_dependencies):
        if id(reference.ref) in replaced:
            layer._track_trackable(replaced[id(reference.ref)], reference.name, overwrite=True)


def _rebound(loss: Any, replaced: dict[int, Any]) -> Any:
    """Returns a penalty, which holds its variable as an argument, of the new variable."""
    if isinstance(loss, functools.partial):
        arguments = (_rebound(each, replaced) for each in loss.args)
        return functools.partial(loss.func, *arguments, **loss.keywords)
    return replaced.get(id(loss), loss)


def _probe_inputs(model: Any, examples: int) -> Any:
    """Returns random inputs: numbers, or ones and zeros for integers, which every vocabulary has."""
    generator = np.random.default_rng(0)

    def one(tensor: Any) -> np.ndarray:
        shape = [examples, *(size or 8 for size in tensor.shape[1:])]
        values = generator.integers(0, 2, shape) if tensor.dtype.is_integer else generator.normal(size=shape)
        return values.astype(tensor.dtype.as_numpy_dtype)

    inputs = [one(tensor) for tensor in model.inputs]
    return inputs[0] if len(inputs) == 1 else inputs


def _probe(model: Any, examples: int) -> np.ndarray:
    """Returns the plain model's outputs on random inputs."""
    return np.asarray(tf.function(lambda x: model(x, training=False))(_probe_inputs(model, examples)))


def _check_outputs(model: Any, expected: np.ndarray, mesh: Any) -> None:
    """Raises UserError when the mesh cannot compute the model, or computes something else."""
    examples = len(expected)

    def spread(array: np.ndarray) -> Any:
        return variables.pack(array, variables.layout(mesh, [BATCH, *[None] * (array.ndim - 1)]))

    inputs = tf.nest.map_structure(spread, _probe_inputs(model, examples))
    with operations.refusals("the model"):
        outputs = variables.whole(operations.traced(lambda x: model(x, training=False), mesh)(inputs))
    largest = float(np.abs(expected).max()) or 1.0
    apart = float(np.abs(outputs.astype(np.float64) - expected).max())
    computed_in = {layer.compute_dtype for layer in model._flatten_layers(include_self=False)}
    if not apart <= largest * max(TOLERANCES.get(dtype, 1e-4) for dtype in computed_in):
        raise UserError(
            f"on a mesh the model {model.name} gives other outputs than on one device (up to {apart:.2g} apart)",
            "train it with --strategy=mirrored",
        )
