"""Trains with each named optimizer on one device and on two virtual replicas, and prints how far the weights part.

A program of its own: virtual devices must be set before TensorFlow starts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from optimizers.stepping import START, small_model

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers.table import OPTIMIZERS

STEPS = 6
SETTINGS: dict[str, dict[str, Any]] = {"sgd": {"lookahead_steps": 2}, "adam": {"use_ema": True}}


def trained(name: str, strategy: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Returns the weights after a few steps on the same batch, split over the strategy's replicas."""
    count = strategy.num_replicas_in_sync
    with strategy.scope():
        model = small_model()
        rate = 10 * OPTIMIZERS[name].learning_rate
        config = OptimizerConfig(optimizer=name, learning_rate=rate, global_clipnorm=0.5, **SETTINGS.get(name, {}))
        optimizer = catalog.build(config, STEPS, model)

    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(keras.losses.mean_squared_error(y, model(x, training=True))) / (len(x) * count)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def pick(values: np.ndarray) -> Any:
        parts = np.split(values, count)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    run = tf.function(lambda x, y: strategy.run(step, (x, y)))
    inputs = pick(x), pick(y)
    for _ in range(STEPS):
        run(*inputs)
    return model.get_weights()


def main() -> None:
    """Prints {name: [how far a weight has come at most, largest difference of a weight]}."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    random = np.random.default_rng(1)
    x, y = (random.normal(size=(8, size)).astype(np.float32) for size in (4, 2))
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    result = {}
    for name in sys.argv[1:]:
        one = trained(name, tf.distribute.get_strategy(), x, y)
        both = trained(name, two, x, y)
        result[name] = [_distance(one, START), _distance(one, both)]
    sys.stdout.write(json.dumps(result))


def _distance(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(left, right, strict=True)))


if __name__ == "__main__":
    main()
