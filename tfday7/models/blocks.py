"""What every architecture shares: the way in, the way out, and the penalty on kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models.architecture import Options

MAX_FILTERS = 8192
# Of BatchNormalization: statistics that are right after 50 steps, not 500 as with Keras's 0.99, with which a ResNet-8
# on 195 images knew all of them after 390 steps, and 10% of the validation images; with 0.9 it knew all of these too.
NORM_MOMENTUM = 0.9
MIN_STD, MAX_STD = 1e-4, 1e15  # Between them Keras's Normalization is exact.


def inputs(problem: Problem) -> tuple[Any, Any]:
    """Returns the input tensor and what the first layer should see.

    Tabular features and the channels of series are standardized by the training split's mean and deviation, inside the
    model, so that whoever runs it feeds raw values. Text comes as token ids, int32.
    """
    tensor = keras.Input(problem.input_shape, dtype="int32" if problem.vocabulary else "float32", name="input")
    if problem.feature_mean is None or problem.feature_std is None:
        return tensor, tensor
    return tensor, standardize(tensor, problem.feature_mean, problem.feature_std)


def standardize(x: Any, mean: np.ndarray, std: np.ndarray) -> Any:
    """Returns (x - mean) / std, in float32: raw values overflow float16, and lose their digits in bfloat16.

    Keras's Normalization takes no deviation below 1e-7 and no variance beyond float32. Columns in such units, farads
    say, are brought near 1 first, by a power of two, which changes no digit.
    """
    extreme = (std < MIN_STD) | (std > MAX_STD)
    if extreme.any():
        scale = np.where(extreme, 2.0 ** -np.floor(np.log2(std.astype(np.float64))), 1.0)
        x = keras.layers.Rescaling(scale.tolist(), dtype="float32", name="bring_near_one")(x)
        mean, std = mean * scale, std * scale
    variance = np.square(std.astype(np.float64))
    normalization = keras.layers.Normalization(
        mean=mean.tolist(), variance=variance.tolist(), dtype="float32", name="standardize"
    )
    return normalization(x)


def head(x: Any, problem: Problem, penalty: Any = None) -> Any:
    """Returns logits [batch, classes], or values [batch, outputs] in the target's own unit.

    Always float32, whatever the precision policy: the loss and its softmax need it. `penalty` is for models that have
    no other layer to regularize.
    """
    if problem.target_mean is None or problem.target_std is None:
        return keras.layers.Dense(problem.outputs, dtype="float32", kernel_regularizer=penalty, name="logits")(x)
    x = keras.layers.Dense(problem.outputs, dtype="float32", kernel_regularizer=penalty, name="standardized_output")(x)
    return in_units(x, problem.target_mean, problem.target_std)


def in_units(x: Any, mean: np.ndarray, std: np.ndarray) -> Any:
    """Returns x * std + mean, float32, as the layer "output": from standardized values to the target's own unit."""
    scale, offset = std.tolist(), mean.tolist()
    if len(scale) == 1:
        scale, offset = scale[0], offset[0]
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="output")(x)


def filters(options: Options) -> list[int]:
    """Returns the filters of each of `depth` stages: `width`, doubled at every stage.

    Raises:
        UserError: more than 8,192 filters; said before any layer is made, while there is memory.
    """
    counts = [options.width * 2**stage for stage in range(options.depth)]
    if counts[-1] > MAX_FILTERS:
        raise UserError(
            f"--width={options.width} and --depth={options.depth} mean layers of more than {MAX_FILTERS:,} filters",
            "each stage doubles the filters: use a smaller --depth or --width",
        )
    return counts


def penalty(options: Options) -> Any:
    """Returns the L2 regularizer of `--l2`, or None."""
    return keras.regularizers.L2(options.l2) if options.l2 else None


def dropout(x: Any, options: Options, name: str) -> Any:
    """Applies dropout when there is any; a rate of 0 adds no layer."""
    return keras.layers.Dropout(options.dropout, name=name)(x) if options.dropout else x
