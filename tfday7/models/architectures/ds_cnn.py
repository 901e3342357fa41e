"""DS-CNN of MLPerf Tiny's keyword spotting: a wide stem and depthwise separable blocks on a spectrogram.

Zhang, Suda, Lai & Chandra, 2017, "Hello Edge" (arXiv:1711.07128), its small variant; Banbury et al., 2021
(arXiv:2106.07597). On [49, 10, 1] with 12 words it has 24,908 parameters. The published 38.6 K are bytes of memory:
22,604 weights in int8, with normalization folded into them, and two activations of 25 x 5 x 64 bytes.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

STEM = (10, 4)  # Steps and frequencies.
MIN_HALVED_SIDE = 8  # Smaller sides are not halved: little would be left.


@ARCHITECTURES.register("ds_cnn")
@architecture(kinds=("image", "series"), width=64, depth=4)
def build(problem: Problem, options: Options) -> Any:
    """Returns a 10x4 stem that halves the sides, then `depth` blocks, all of `width` filters.

    A series [steps, channels] is read as a spectrogram, an image of one colour.
    """
    tensor, x = blocks.inputs(problem)
    if problem.kind == "series":
        x = keras.layers.Reshape((*problem.input_shape, 1), name="spectrogram")(x)
    sides = x.shape[1:3]
    size = tuple(min(have, side) for have, side in zip(STEM, sides, strict=True))
    strides = tuple(2 if side >= MIN_HALVED_SIDE else 1 for side in sides)
    x = _normalized(_convolution(options, size, strides, "stem_conv")(x), "stem")
    x = blocks.dropout(x, options, "stem_dropout")
    for i in range(options.depth):
        depthwise = keras.layers.DepthwiseConv2D(
            3, padding="same", depthwise_regularizer=blocks.penalty(options), name=f"block_{i + 1}_depthwise"
        )
        x = _normalized(depthwise(x), f"block_{i + 1}_depthwise")
        x = _normalized(_convolution(options, (1, 1), (1, 1), f"block_{i + 1}_conv")(x), f"block_{i + 1}_conv")
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    x = blocks.dropout(x, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem), name="ds_cnn")


def _convolution(options: Options, size: tuple[int, ...], strides: tuple[int, ...], name: str) -> Any:
    penalty = blocks.penalty(options)
    return keras.layers.Conv2D(options.width, size, strides, padding="same", kernel_regularizer=penalty, name=name)


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_relu")(
        keras.layers.BatchNormalization(momentum=blocks.NORM_MOMENTUM, name=f"{name}_norm")(x)
    )
