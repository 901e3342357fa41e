"""Prints what devices hold of a transformer, and whether its weights and state go from mesh to mesh and to no mesh.

A program of its own: virtual devices must be set before TensorFlow starts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from distribution.mesh import training_on_a_mesh as single

from tfday7.core.frameworks import keras, tf
from tfday7.distribution import mesh as meshes
from tfday7.distribution.mesh import layouts
from tfday7.distribution.mesh.axes import Axes
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers import state as optimizer_state
from tfday7.optimizers.averages import averages
from tfday7.training import state


def placed(axes: Axes, mesh: Any) -> Any:
    """Returns the transformer, trained for a step with Adam."""
    model = meshes.place(single.transformer, layouts.plan(single.transformer(), axes), mesh)
    meshes.prepare(model, mesh)
    single.compiled(model, "adam", 0.5, mesh)
    return model


def held(variables: list[Any]) -> list[list[int]]:
    """Returns, for each variable, the bytes of each device."""
    return [[part.nbytes for part in meshes.local_parts(variable)] for variable in variables]


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Returns whether arrays are the same to the last bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def bfloat16() -> Any:
    """The MLP with hidden layers in mixed precision."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(1)
        x = inputs = keras.Input((5,))
        for units in (8, 6, 4):
            x = keras.layers.Dense(units, activation="tanh")(x)
        return keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def mixed(axes: Axes, mesh: Any) -> dict[str, float]:
    """Returns how far float32 comes on one device, and how far from it bfloat16 ends on the mesh and on one device."""
    float32 = single.mlp()
    plain = bfloat16()
    start = plain.get_weights()
    float32.set_weights(start)
    for layer in float32.layers:
        layer._callable_losses.clear()
    model = meshes.place(bfloat16, layouts.plan(plain, axes), mesh)
    meshes.prepare(model, mesh)
    for each, own in ((model, mesh), (plain, None), (float32, None)):
        single.compiled(each, "sgd", None, own)
        each.fit(single.ROWS, single.Y, batch_size=8, epochs=5, verbose=0, shuffle=False)
    weights = float32.get_weights()
    return {
        "moved": single.distance(weights, start),
        "mesh": single.distance(weights, model.get_weights()),
        "plain": single.distance(weights, plain.get_weights()),
    }


def averaged(axes: Axes, mesh: Any) -> list[float]:
    """Returns how far averaged weights are from the trained ones, and those of the mesh from those of one device."""
    plain = single.mlp()
    model = meshes.place(single.mlp, layouts.plan(plain, axes), mesh)
    meshes.prepare(model, mesh)
    found = []
    for each, own in ((model, mesh), (plain, None)):
        config = OptimizerConfig(optimizer="schedule_free_adamw", learning_rate=0.01, epsilon=1e-3)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        each.compile(catalog.build(config, 20, each, own), loss)
        each.fit(single.ROWS, single.Y, batch_size=8, epochs=2, verbose=0, shuffle=False)
        values = averages(each.optimizer, each.trainable_variables)
        found.append([value.numpy() for value in values or []])
    return [single.distance(found[1], plain.get_weights()), single.distance(*found)]


def main() -> None:
    """Prints JSON."""
    four = single.mesh_of("batch:2,model:2")
    devices = ["CPU:0", "CPU:1"]
    two = Axes(1, 2), tf.experimental.dtensor.create_mesh([("batch", 1), ("model", 2)], devices=devices)
    model, other = placed(*four), placed(*two)
    x, y = single.WORDS[:8], single.Y[:8]
    model.fit(x, y, batch_size=8, verbose=0)
    other.make_train_function()
    plan = layouts.plan(single.transformer(), two[0])
    result: dict[str, Any] = {
        "held": held(other.variables),
        "slots": sum(held([each])[0][0] for each in optimizer_state.variables(other.optimizer)),
        "planned": [[weight.size_bytes, weight.device_bytes] for weight in plan.weights],
        "share": plan.device_bytes(2) / plan.whole_bytes(2),
        "planned_with_slots": plan.device_bytes(2),
    }
    arrays = [meshes.read(variable) for variable in model.variables]
    plain = single.transformer()
    for variable, array in zip(other.variables, arrays, strict=True):
        meshes.write(variable, array)
    meshes.copy_weights(other, plain)
    result["weights"] = equal(arrays, other.get_weights()) and equal(arrays, plain.get_weights())
    result["outputs"] = float(np.abs(model.predict(x, verbose=0) - plain.predict(x, verbose=0)).max())
    captured = state.capture(model)
    state.build_slots(other, x[:1], y[:1])
    state.restore(other, captured)
    again = state.capture(other)
    result["state"] = (
        len(again),
        equal([captured[key] for key in sorted(captured)], [again[key] for key in sorted(again)]),
    )
    for each in (model, other):  # Both go on from there.
        each.fit(x, y, batch_size=8, verbose=0, shuffle=False)
    result["resumed"] = single.distance(model.get_weights(), other.get_weights())
    result["averages"] = averaged(*four)
    result["bfloat16"] = mixed(*four)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
