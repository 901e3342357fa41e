"""ResNet-8 as in MLPerf Tiny's image classification (Banbury et al., 2021, arXiv:2106.07597; He et al., 2015).

A stem and three stacks of one residual block each, with 16, 32 and 64 filters; the second and third stack halve the
image, and their shortcut is a 1x1 convolution.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks
from tfday7.models.architecture import ARCHITECTURES, Options, architecture


@ARCHITECTURES.register("resnet8")
@architecture(kinds=("image",), width=16, depth=3)
def build(problem: Problem, options: Options) -> Any:
    """Returns a stem and `depth` residual stacks with `width`, 2x `width`, 4x ... filters."""
    tensor, x = blocks.inputs(problem)
    x = _normalized(_convolution(options, options.width, 3, 1, "stem_conv")(x), "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for i, filters in enumerate(blocks.filters(options)):
        x = _residual(x, options, filters, 1 if i == 0 else 2, f"stack_{i + 1}")
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    x = blocks.dropout(x, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem), name="resnet8")


def _residual(x: Any, options: Options, filters: int, strides: int, name: str) -> Any:
    shortcut = x
    x = _normalized(_convolution(options, filters, 3, strides, f"{name}_conv_1")(x), f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_relu_1")(x)
    x = _normalized(_convolution(options, filters, 3, 1, f"{name}_conv_2")(x), f"{name}_2")
    if strides != 1:
        shortcut = _convolution(options, filters, 1, strides, f"{name}_shortcut")(shortcut)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu_2")(x)


def _convolution(options: Options, filters: int, size: int, strides: int, name: str) -> Any:
    penalty = blocks.penalty(options)
    return keras.layers.Conv2D(filters, size, strides, padding="same", kernel_regularizer=penalty, name=name)


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=blocks.NORM_MOMENTUM, name=f"{name}_norm")(x)
