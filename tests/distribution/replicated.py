"""Trains the same model on one device and on several, and prints how far the two end apart, as JSON.

A process of its own, because virtual devices have to be set up before TensorFlow does anything else:

    python tests/distribution/replicated.py DEVICES CELL CELL ...
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np

from tfday7 import data
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset, Examples
from tfday7.data.config import DataConfig
from tfday7.distribution import DistributionConfig
from tfday7.distribution.devices import ONE_DEVICE, Devices, open_devices
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting

SGD = {"optimizer": "sgd", "learning_rate": 0.05}
ADAM = {"optimizer": "adam", "learning_rate": 1e-3}
LAMB = {"optimizer": "lamb", "learning_rate": 1e-2}


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is trained, and how; the reference is one device, which takes each batch at once unless `same_steps`."""

    examples: int
    optimizer: dict[str, Any]
    training: dict[str, Any]
    model: dict[str, Any] | None = None  # None: convolutions with BatchNormalization, in float64.
    same_steps: bool = False
    broken: bool = False  # One example is not a number, and the run has to go back.


MLP = {"model": "mlp", "width": 16, "depth": 2, "l2": 1e-3}
CELLS = {
    # 205 examples in batches of 40 leave a last batch of 5; in batches of 51, one of 1: three replicas have none.
    "sgd, augmented": Cell(205, SGD, {"batch_size": 40, "augment": "mixup,shift"}, MLP),
    "adam, accumulated, clipped": Cell(
        205, {**ADAM, "global_clipnorm": 0.1}, {"batch_size": 40, "accumulate_steps": 4}, MLP
    ),
    "lamb, weighted": Cell(205, {**LAMB, "clipnorm": 0.1}, {"batch_size": 51, "class_weights": "balanced"}, MLP),
    "legacy": Cell(205, {"optimizer": "tfa_lamb", "learning_rate": 1e-2}, {"batch_size": 40}, MLP),
    "statistics": Cell(205, SGD, {"batch_size": 51}),
    "statistics, accumulated": Cell(205, SGD, {"batch_size": 51, "accumulate_steps": 4}, same_steps=True),
    "statistics, gone back": Cell(
        205, SGD, {"batch_size": 51, "recoveries": 3, "checkpoint_steps": 1}, same_steps=True, broken=True
    ),
    "float16": Cell(200, SGD, {"batch_size": 40, "precision": "mixed_float16", "accumulate_steps": 2}, MLP),
    "bfloat16": Cell(200, SGD, {"batch_size": 40, "precision": "mixed_bfloat16", "accumulate_steps": 2}, MLP),
}


def with_statistics() -> Any:
    """Returns convolutions with BatchNormalization, one fused on one device and one not, in float64.

    In float32 a difference of one rounding grows tenfold in a few steps, wherever a ReLU switches.
    """
    layers = keras.layers
    given = keras.Input((8, 8, 1), dtype="float64")
    x = layers.Conv2D(6, 3, padding="same", dtype="float64")(given)
    # A ReLU would hide what is not a number.
    x = keras.activations.tanh(layers.BatchNormalization(fused=False, dtype="float64", momentum=0.9)(x))
    x = layers.Conv2D(6, 3, strides=2, dtype="float64")(x)
    x = keras.activations.tanh(layers.BatchNormalization(momentum=0.9, dtype="float64")(x))
    x = layers.GlobalAveragePooling2D(dtype="float64")(x)
    return keras.Model(given, layers.Dense(10, dtype="float64")(x))


def trained(cell: Cell, dataset: Dataset, devices: Devices, **changes: Any) -> tuple[Any, Any]:
    """Returns the model after two epochs, and the account of its training."""
    training = TrainingConfig(epochs=2, **{**cell.training, **changes})
    keras.utils.set_random_seed(0)
    with devices.scope():
        if cell.model is None:
            model = with_statistics()
        else:
            model = building.build(ModelConfig(**cell.model), dataset.problem, training.precision, 0)
    return model, fitting.fit(model, dataset, OptimizerConfig(**cell.optimizer), training)


def compared(cell: Cell, devices: Devices) -> dict[str, Any]:
    """Returns the largest difference in a weight, and in a figure of an epoch."""
    whole = data.load(DataConfig(data="digits"))
    kind = np.float64 if cell.model is None else np.float32
    train, validation = (
        Examples(part.x[:size].astype(kind), part.y[:size])
        for part, size in ((whole.train, cell.examples), (whole.validation, 101))
    )
    if cell.broken:
        train.x[17] = np.nan
    dataset = dataclasses.replace(whole, train=train, validation=validation)
    one, said = trained(cell, dataset, ONE_DEVICE, **({} if cell.same_steps else {"accumulate_steps": 1}))
    several, also = trained(cell, dataset, devices)
    pairs = [(a.numpy(), b.numpy()) for a, b in zip(one.variables, several.variables, strict=True)]
    names = [name for name in said.records[0] if name not in ("seconds", "epoch")]
    return {
        "weights": max(float(np.abs(a - b).max()) for a, b in pairs),
        "moved": max(float(np.abs(a).max()) for a, _ in pairs),
        "figures": max(
            abs(a[name] - b[name]) for a, b in zip(said.records, also.records, strict=True) for name in names
        ),
        "replicas": devices.replicas,
        "recoveries": [said.recoveries, also.recoveries],
    }


def main() -> None:
    """Prints one JSON object, a key for each cell."""
    count = int(sys.argv[1])
    devices = open_devices(DistributionConfig(strategy="mirrored", virtual_devices=count))
    tf.get_logger().setLevel("ERROR")
    sys.stdout.write(json.dumps({name: compared(CELLS[name], devices) for name in sys.argv[2:]}) + "\n")


if __name__ == "__main__":
    main()
