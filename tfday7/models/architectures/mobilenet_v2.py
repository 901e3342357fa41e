"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen, 2018, arXiv:1801.04381): inverted residuals, linear bottlenecks.

`width` is the stem's filters: 32 is the paper's 1.0, 16 is 0.5, 48 is 1.5 of all filters. `depth` is the number of
stages, 7 in the paper. Images below 224 pixels are halved while sides of at least eight are left.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

# Expansion, filters, blocks and strides of each stage, table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST_FILTERS = 1280
PAPER_WIDTH = 32
MAX_WIDTH = 256
DIVISOR = 8
MIN_HALVED_SIDE = 8


@ARCHITECTURES.register("mobilenet_v2")
@architecture(kinds=("image",), width=PAPER_WIDTH, depth=len(STAGES))
def build(problem: Problem, options: Options) -> Any:
    """Returns the first `depth` stages with all filters times `width` / 32. Raises UserError beyond 7 stages."""
    if options.depth > len(STAGES):
        raise UserError(f"--depth={options.depth}: mobilenet_v2 has {len(STAGES)} stages")
    if options.width > MAX_WIDTH:
        raise UserError(f"--width={options.width}: mobilenet_v2 takes at most {MAX_WIDTH}, eight times the paper's")
    tensor, x = blocks.inputs(problem)
    multiplier = options.width / PAPER_WIDTH
    x = _convolution(x, options, rounded(PAPER_WIDTH * multiplier), 3, _strides(x, 2), "stem")
    count = 0
    for expansion, filters, repeats, strides in STAGES[: options.depth]:
        for index in range(repeats):
            count += 1
            step = strides if index == 0 else 1
            x = _inverted_residual(x, options, expansion, rounded(filters * multiplier), step, f"block_{count}")
    x = _convolution(x, options, rounded(LAST_FILTERS * max(1.0, multiplier)), 1, 1, "last")
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    x = blocks.dropout(x, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem), name="mobilenet_v2")


def rounded(filters: float) -> int:
    """Returns the nearest multiple of 8, at least 8 and not below nine tenths of the number, as the authors' code."""
    nearest = max(DIVISOR, int(filters + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest if nearest >= 0.9 * filters else nearest + DIVISOR


def _inverted_residual(x: Any, options: Options, expansion: int, filters: int, strides: int, name: str) -> Any:
    entering = x
    if expansion != 1:
        x = _convolution(x, options, expansion * x.shape[-1], 1, 1, f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        3,
        _strides(x, strides),
        padding="same",
        use_bias=False,
        depthwise_regularizer=blocks.penalty(options),
        name=f"{name}_depthwise",
    )
    x = _activated(depthwise(x), f"{name}_depthwise")
    x = _convolution(x, options, filters, 1, 1, f"{name}_project", linear=True)
    return keras.layers.Add(name=f"{name}_add")([entering, x]) if entering.shape == x.shape else x


def _convolution(
    x: Any, options: Options, filters: int, size: int, strides: int, name: str, linear: bool = False
) -> Any:
    penalty = blocks.penalty(options)
    convolution = keras.layers.Conv2D(
        filters, size, strides, padding="same", use_bias=False, kernel_regularizer=penalty, name=f"{name}_conv"
    )
    return _normalized(convolution(x), name) if linear else _activated(convolution(x), name)


def _activated(x: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(_normalized(x, name))


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-3, momentum=blocks.NORM_MOMENTUM, name=f"{name}_norm")(x)


def _strides(x: Any, strides: int) -> int:
    return strides if min(x.shape[1:3]) >= MIN_HALVED_SIDE else 1
