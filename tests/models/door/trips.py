"""What the door's tests share: random weights and inputs, and how far outputs are apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.frameworks import tf


def random_weights(model: Any, seed: int = 0) -> None:
    """Gives every weight a random value; variances and scales stay positive."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        name = variable.name.split("/")[-1]
        if "int" in str(variable.dtype):
            continue
        value = generator.normal(0, 0.5, tuple(variable.shape))
        variable.assign(np.abs(value) + 0.5 if "var" in name or "gamma" in name else value)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "Normalization" and layer.weights:
            layer.finalize_state()  # It computes with a copy of its statistics.


def random_input(model: Any, batch_size: int = 2) -> Any:
    """Returns one array per input: normal floats, or integers below 4."""
    generator = np.random.default_rng(1)
    arrays = []
    for tensor in model.inputs:
        shape = [batch_size, *tensor.shape[1:]]
        is_float = "float" in str(tensor.dtype)
        arrays.append(generator.normal(size=shape).astype("float32") if is_float else generator.integers(0, 4, shape))
    return arrays[0] if len(arrays) == 1 else arrays


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest absolute difference between two structures of arrays of one shape."""
    gap = 0.0
    for a, b in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        assert a.shape == b.shape
        gap = max(gap, float(np.max(np.abs(a - b))))
    return gap
