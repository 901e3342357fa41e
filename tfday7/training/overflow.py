"""Which layers leave the range of float16, on one batch. Importing this module loads TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7 import models
from tfday7.core.frameworks import keras, tf

LARGEST = float(np.finfo(np.float16).max)


def overflowing(model: Any, x: np.ndarray) -> list[dict[str, Any]]:
    """Returns the layers whose outputs leave float16's range, in the order in which they are computed.

    The same weights compute in float32, where nothing is lost: what is larger than 65,504 there becomes infinite in
    float16.

    Args:
        model: a tf_keras functional model of one input, of the policy "mixed_float16".
        x: inputs [batch, ...].

    Returns:
        For each such layer "layer", and "largest", its largest absolute output, or None where float32 leaves its range
        too.
    """
    halves = [layer.name for layer in model.layers if layer.compute_dtype == "float16"]
    whole = models.load(model, dtype_policy="float32")
    named = [(layer.name, layer.output) for layer in whole.layers if layer.name in halves]
    if not named:
        return []
    outputs = keras.Model(whole.inputs, [output for _, output in named])(x, training=False)
    found = []
    for (name, _), output in zip(named, outputs if isinstance(outputs, list) else [outputs], strict=True):
        largest = max(float(tf.reduce_max(tf.abs(each))) for each in tf.nest.flatten(output))
        if not largest <= LARGEST:
            found.append({"layer": name, "largest": largest if np.isfinite(largest) else None})
    return found
