"""Everything that the rest of a run depends on, as named arrays: a run that gets them back ends as if never stopped.

Weights, optimizer slots and counters, the loss scale, the states of all random generators, and the metrics of the epoch
in work. Order of data and augmentation need no state: they are functions of (seed, epoch, step).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.seeds import derive_seed
from tfday7.data.pipeline import Parts
from tfday7.distribution.feeding import feed
from tfday7.optimizers import state as optimizer_state


def generators(model: Any) -> list[Any]:
    """Returns the `tf.random.Generator` of every random layer, in the order of the layers."""
    owners = (getattr(layer, "_random_generator", None) for layer in _layers(model))
    found = (getattr(owner, "_generator", None) for owner in owners if owner is not None)
    return [generator for generator in found if isinstance(generator, tf.random.Generator)]


def reseed(found: list[Any], seed: int, epoch: int) -> None:
    """Sets generators, in the order of `generators`, to the states of this epoch's start in any run with this seed."""
    for index, generator in enumerate(found):
        generator.reset_from_seed(derive_seed(seed, "layer", epoch, index))


def variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Yields (name, variable) of all state of a compiled model whose optimizer is built."""
    groups = {
        "model": model.variables,
        "optimizer": optimizer_state.variables(model.optimizer),
        "random": [generator.state for generator in generators(model)],
        "metric": [variable for metric in model.metrics for variable in metric.variables],
    }
    for group, members in groups.items():
        for index, variable in enumerate(members):
            yield f"{group}/{index:05d}", variable


def capture(model: Any) -> dict[str, np.ndarray]:
    """Returns a copy of all state."""
    return {name: variable.numpy() for name, variable in variables(model)}


def restore(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Puts captured state back.

    Raises:
        UserError: the arrays belong to another model, optimizer or precision.
    """
    targets = dict(variables(model))
    for name, variable in targets.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "missing"
            raise UserError(
                f"the checkpoint belongs to another model: {name} ({variable.name}) is {found}; "
                f"expected {tuple(variable.shape)}",
                "start again with --overwrite",
            )
    for name, variable in targets.items():
        variable.assign(arrays[name])


def build_slots(model: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Makes the variables that Keras would only make in the first step: optimizer slots and metrics.

    Args:
        model: a compiled model.
        x, y: one example or more, to build the metrics with; nothing is learned from them.
    """

    def batches(parts: Parts) -> Any:
        return tf.data.Dataset.from_tensors((x, y)).repeat(len(parts.wanted))

    strategy = model.distribute_strategy
    with strategy.scope():
        optimizer_state.build(model.optimizer, model.trainable_variables)
    model.evaluate(feed(strategy, batches, endless=False), steps=1, verbose=0)
    model.reset_metrics()


def _layers(model: Any) -> list[Any]:
    return [layer for layer in model.submodules if hasattr(layer, "_random_generator")]
