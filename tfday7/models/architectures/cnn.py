"""A small convolutional network for small images: convolutions with pooling between them, one hidden Dense layer."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

MIN_POOLED_SIDE = 8  # Below this there is too little of the image left to halve it once more.
HIDDEN_UNITS_PER_FILTER = 2


@ARCHITECTURES.register("cnn")
@architecture(kinds=("image",), width=32, depth=2)
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` 3x3 convolutions with `width`, 2x `width`, 4x ... filters, then a Dense layer of 2x `width`."""
    tensor, x = blocks.inputs(problem)
    for i, filters in enumerate(blocks.filters(options)):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_regularizer=blocks.penalty(options),
            name=f"conv_{i + 1}",
        )(x)
        if min(x.shape[1:3]) >= MIN_POOLED_SIDE:
            x = keras.layers.MaxPooling2D(name=f"pool_{i + 1}")(x)
        x = blocks.dropout(x, options, f"dropout_{i + 1}")
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(
        HIDDEN_UNITS_PER_FILTER * options.width,
        activation="relu",
        kernel_regularizer=blocks.penalty(options),
        name="hidden",
    )(x)
    x = blocks.dropout(x, options, "dropout_hidden")
    return keras.Model(tensor, blocks.head(x, problem), name="cnn")
