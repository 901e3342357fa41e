"""Trains with every rule on one device and on a mesh of 2 x 2 virtual devices, and prints how far the weights part.

A program of its own: virtual devices must be set before TensorFlow starts.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from optimizers.stepping import GRADIENTS, START

from tfday7.core.frameworks import tf
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers.table import OPTIMIZERS

SETTINGS: dict[str, dict[str, Any]] = {"sgd": {"nesterov": True}, "adam": {"schedule": "cosine", "warmup_steps": 3}}
DIMENSIONS: list[list[str | None]] = [["model", None], [None], [None, "model"], ["model"]]


def trained(name: str, mesh: Any) -> list[np.ndarray]:
    """Returns the weights after all steps, with the matrices split over "model" when there is a mesh."""
    dtensor = tf.experimental.dtensor
    layouts = (
        [dtensor.Layout([each or dtensor.UNSHARDED for each in names], mesh) for names in DIMENSIONS] if mesh else []
    )

    def spread(values: list[np.ndarray]) -> list[Any]:
        tensors = [tf.constant(value) for value in values]
        if mesh is None:
            return tensors
        whole = [dtensor.copy_to_mesh(each, dtensor.Layout.replicated(mesh, each.shape.rank)) for each in tensors]
        return [dtensor.relayout(each, layout) for each, layout in zip(whole, layouts, strict=True)]

    variables = [dtensor.DVariable(each) if mesh else tf.Variable(each) for each in spread(START)]
    model = SimpleNamespace(trainable_variables=variables, layers=[], _flatten_layers=lambda **_: [])
    config = OptimizerConfig(optimizer=name, weight_decay=0.1, global_clipnorm=1.0, **SETTINGS.get(name, {}))
    optimizer = catalog.build(config, len(GRADIENTS), model, mesh)
    if name == "muon":
        optimizer.use_matrices([(variables[0], START[0].shape)])
    optimizer.build(variables)
    step = tf.function(lambda *gradients: optimizer.apply_gradients(zip(gradients, variables, strict=True)))
    for gradients in GRADIENTS:
        step(*spread(gradients))
    if mesh is None:
        return [variable.numpy() for variable in variables]
    values = [variable.read_value() for variable in variables]
    return [dtensor.relayout(each, dtensor.Layout.replicated(mesh, each.shape.rank)).numpy() for each in values]


def main() -> None:
    """Prints {name: [how far a weight has come at most, largest difference of a weight]}."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    devices = [f"CPU:{index}" for index in range(4)]
    mesh = tf.experimental.dtensor.create_mesh([("batch", 2), ("model", 2)], devices=devices)
    result = {}
    for name in (name for name, spec in OPTIMIZERS.items() if spec.rule):
        one, many = trained(name, None), trained(name, mesh)
        result[name] = [_distance(one, START), _distance(one, many)]
    sys.stdout.write(json.dumps(result))


def _distance(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(left, right, strict=True)))


if __name__ == "__main__":
    main()
