"""An autoencoder: gives its input again through a narrow code. What it gives badly is unlike what it was trained on.

The dense one is the anomaly detector of MLPerf Tiny (Banbury et al., 2021, arXiv:2106.07597), the baseline of DCASE
2020 task 2: 128-128-128-128-8-128-128-128-128 units, each with BatchNormalization and ReLU.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

UNITS_PER_CODE = 16  # 128 units and a code of 8.
UNITS_PER_FILTER = 8
MIN_HALVED_SIDE = 4
MOMENTUM = 0.9  # With Keras's 0.99, what validation sees lags ten epochs behind on a thousand examples.


@ARCHITECTURES.register("autoencoder")
@architecture(kinds=("array", "image", "series", "tabular"), width=128, depth=4, task="reconstruction")
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` layers of `width` units, a code of `width` / 16, and as many back; convolutions for images.

    Raises:
        UserError: the problem is no reconstruction.
    """
    if problem.target_mean is None or problem.target_std is None:
        raise UserError(f"--model=autoencoder learns reconstruction; the task is {problem.task}")
    tensor, x = blocks.inputs(problem)
    x = _convolutional(x, problem, options) if problem.kind == "image" else _dense(x, problem, options)
    return keras.Model(tensor, blocks.in_units(x, problem.target_mean, problem.target_std), name="autoencoder")


def _dense(x: Any, problem: Problem, options: Options) -> Any:
    units = [options.width] * options.depth
    if len(problem.input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for name, size in (
        *((f"encoder_{i + 1}", size) for i, size in enumerate(units)),
        ("code", _code_size(options)),
        *((f"decoder_{i + 1}", size) for i, size in enumerate(units)),
    ):
        x = keras.layers.Dense(size, kernel_regularizer=blocks.penalty(options), name=name)(x)
        x = _activated(x, options, name)
    x = keras.layers.Dense(math.prod(problem.input_shape), dtype="float32", name="standardized_output")(x)
    if len(problem.input_shape) > 1:
        x = keras.layers.Reshape(problem.input_shape, dtype="float32", name="reshape")(x)
    return x


def _convolutional(x: Any, problem: Problem, options: Options) -> Any:
    """Halves an image up to `depth` times, while its smaller side has 4 pixels or more; doubles and crops it back."""
    narrow = dataclasses.replace(options, width=max(1, options.width // UNITS_PER_FILTER))
    sides: list[tuple[int, int]] = []
    for filters in blocks.filters(narrow):
        if min(x.shape[1:3]) < MIN_HALVED_SIDE:
            break
        sides.append(tuple(x.shape[1:3]))
        x = _convolution(x, filters, options, f"encoder_{len(sides)}", strides=2)
    x = _convolution(x, _code_size(options), options, "code")
    for stage, (height, width) in reversed(list(enumerate(sides))):
        name = f"decoder_{len(sides) - stage}"
        x = keras.layers.UpSampling2D(name=f"{name}_double")(x)
        if x.shape[1:3] != (height, width):
            crop = ((0, x.shape[1] - height), (0, x.shape[2] - width))
            x = keras.layers.Cropping2D(crop, name=f"{name}_crop")(x)
        x = _convolution(x, narrow.width * 2**stage, options, name)
    channels = problem.input_shape[-1]
    return keras.layers.Conv2D(channels, 3, padding="same", dtype="float32", name="standardized_output")(x)


def _convolution(x: Any, filters: int, options: Options, name: str, strides: int = 1) -> Any:
    x = keras.layers.Conv2D(
        filters, 3, strides=strides, padding="same", kernel_regularizer=blocks.penalty(options), name=name
    )(x)
    return _activated(x, options, name)


def _activated(x: Any, options: Options, name: str) -> Any:
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_normalization")(x)
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return blocks.dropout(x, options, f"{name}_dropout")


def _code_size(options: Options) -> int:
    return max(1, options.width // UNITS_PER_CODE)
