"""What files hold of zeros and of different values, against the weights that went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exporting.tflite_samples import converted

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.exporting.weights_report import weights_report


def clustered(kind: str) -> bytes:
    """A kernel of the values -1, 0 and 0.5, times 1, 2, ... of each of its four output channels."""
    inputs = keras.Input((6, 6, 3))
    layer = keras.layers.Conv2D(4, 3, name="conv")
    model = keras.Model(inputs, layer(inputs))
    values = np.resize(np.array([-1.0, 0.0, 0.5]), (3, 3, 3, 4)) * np.arange(1, 5)
    layer.set_weights([values, np.ones(4)])
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 3)).astype(np.float32)
    spec = tf.TensorSpec((1, 6, 6, 3), tf.float32, name="input")
    return converted(lambda x: {"output": model(x)}, spec, kind, x, model.variables)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_zeros_and_values_are_counted_by_channel(kind: str) -> None:
    (kernel,) = weights_report(clustered(kind))
    assert kernel.shape == (4, 3, 3, 3)
    assert kernel.dtype == kind
    assert kernel.sparsity == pytest.approx(1 / 3)
    assert kernel.distinct_values_per_channel_max == 3
    # -1, -2, -3, -4; 0; 0.5, 1, 1.5, 2. In int8 each channel has its own scale: -127, 0, 64.
    assert kernel.distinct_values == (3 if kind == "int8" else 9)
    assert kernel.operator == "CONV_2D"
    assert "conv" in kernel.tensor
    assert kernel.to_json()["shape"] == [4, 3, 3, 3]


def test_a_path_is_read_and_a_missing_one_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(clustered("float32"))
    assert weights_report(path) == weights_report(path.read_bytes())
    with pytest.raises(UserError, match="no such file"):
        weights_report(tmp_path / "other.tflite")
