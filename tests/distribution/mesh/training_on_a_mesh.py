"""Trains small models on a mesh of virtual devices and on one device, and prints how far apart they end.

A program of its own: virtual devices must be set before TensorFlow starts. Called with the axes ("batch:2,model:2") and
names of `MODELS`; prints JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.distribution import mesh as meshes
from tfday7.distribution.mesh import layouts
from tfday7.models import building
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, catalog

EXAMPLES, BATCH, EPOCHS = 27, 8, 5  # 4 steps an epoch, the last with 3 examples; 20 steps in all.
# A gradient that is zero but for rounding (that of a key's bias is) is divided by epsilon, not by its own size.
EPSILON = {"sgd": {}, "adam": {"epsilon": 1e-3}, "lamb": {"epsilon": 1e-3, "weight_decay": 0.1}}
_RANDOM = np.random.default_rng(3)
Y = _RANDOM.integers(0, 3, EXAMPLES)
WORDS = _RANDOM.integers(0, 16, (EXAMPLES, 20)).astype(np.int32)
ROWS = _RANDOM.normal(size=(EXAMPLES, 5)).astype(np.float32)
IMAGES = _RANDOM.normal(size=(EXAMPLES, 6, 6, 2)).astype(np.float32)


def transformer() -> Any:
    """tfday7's own, of one block with two heads."""
    problem = Problem("classification", "text", (20,), 3, ("a", "b", "c"), vocabulary=tuple(f"w{i}" for i in range(16)))
    model = building.build(ModelConfig(model="transformer", width=128, depth=1, l2=1e-3), problem)
    return model


def mlp() -> Any:
    """Two pairs of columns and rows, the second with the output layer; 5 -> 8 -> 6 -> 4 -> 3."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((5,))
    for units in (8, 6, 4):
        x = keras.layers.Dense(units, activation="tanh", kernel_regularizer=keras.regularizers.L2(1e-2))(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def cnn() -> Any:
    """Two convolutions whose filters are split, and a hidden layer without partner."""
    keras.utils.set_random_seed(2)
    x = inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    x = keras.layers.LayerNormalization()(keras.layers.Dense(8)(x))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


MODELS: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "transformer": (transformer, WORDS), "mlp": (mlp, ROWS), "cnn": (cnn, IMAGES)
}  # fmt: skip
# (optimizer, micro-batches, global clip); benchmarks/distribution.py has every combination.
CASES: dict[str, list[tuple[str, int, float | None]]] = {
    "mlp": [("sgd", 1, None), ("adam", 4, 0.5), ("lamb", 4, None)],
    "cnn": [("adam", 4, 0.5)],
    "transformer": [("lamb", 4, 0.5)],
}


def compiled(model: Any, name: str, clip: float | None, mesh: Any) -> None:
    """Compiles a model for a mesh, or for one device, where SGD and Adam are tf_keras's own."""
    config = OptimizerConfig(optimizer=name, global_clipnorm=clip, learning_rate=0.01, **EPSILON[name])
    optimizer = catalog.build(config, 20, model, mesh)
    if mesh is None:
        # tf_keras clips an embedding's gradient before rows that occur twice are added up, which no mesh can.
        clipped = optimizer._clip_gradients
        optimizer._clip_gradients = lambda gradients: clipped([tf.convert_to_tensor(each) for each in gradients])
    logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(optimizer, loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Returns the largest difference of a weight."""
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def compare(name: str, optimizer: str, accumulate_steps: int, clip: float | None, setting: Any) -> dict[str, Any]:
    """Returns how far one device and the mesh are apart, and have come, after the first step and after 20."""
    axes, mesh = setting
    build, x = MODELS[name]
    plain = build()
    start = plain.get_weights()
    model = meshes.place(build, layouts.plan(plain, axes), mesh)
    result: dict[str, Any] = {"case": [name, optimizer, accumulate_steps, clip], "start": distance(
        start, model.get_weights()
    )}  # fmt: skip
    meshes.prepare(model, mesh, accumulate_steps)
    firsts, histories = [], []
    for each, own in ((model, mesh), (plain, None)):
        compiled(each, optimizer, clip, own)
        fitted = each.fit(x[:BATCH], Y[:BATCH], batch_size=BATCH, verbose=0, shuffle=False)
        firsts.append(fitted.history)
    result["first"] = [distance(plain.get_weights(), start), distance(plain.get_weights(), model.get_weights())]
    for each in (model, plain):
        fitted = each.fit(
            x, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, shuffle=False, validation_data=(x[:11], Y[:11])
        )
        histories.append(fitted.history)
    result["last"] = [distance(plain.get_weights(), start), distance(plain.get_weights(), model.get_weights())]
    result["histories"] = _apart(*histories)
    model.set_weights(plain.get_weights())
    evaluated = [each.evaluate(x, Y, batch_size=BATCH, verbose=0, return_dict=True) for each in (model, plain)]
    result["logs"] = max(_apart(*firsts), _apart(*evaluated))
    result["keys"] = [sorted(each) for each in histories]
    return result


def _apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Returns the largest difference of logs."""
    return float(max(np.abs(np.subtract(one[key], other[key])).max() for key in one))


def mesh_of(axes_text: str) -> tuple[meshes.Axes, Any]:
    """Splits the CPU into as many devices as the axes need; returns the axes and the mesh."""
    axes = meshes.parse(axes_text, "model_parallel")
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * axes.devices)
    return axes, meshes.make_mesh(axes)


def main(axes_text: str, *names: str) -> None:
    """Prints a list of `compare`'s results."""
    setting = mesh_of(axes_text)
    results = [compare(name, *case, setting) for name in names for case in CASES[name]]
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
