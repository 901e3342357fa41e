"""What the recurrent architectures share: stacked layers over words or over the steps of a series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks, words
from tfday7.models.architecture import Options


def build(problem: Problem, options: Options, layer: Callable[..., Any], name: str) -> Any:
    """Returns a model of `depth` recurrent layers of `width` units.

    Text goes in as vectors of words, and its states are averaged over the words: what comes after the words is padding
    and changes no state before it, so the layers need no mask, with which TFLite could not fuse them. Of a series the
    last state counts.

    Args:
        problem: what to fit.
        options: the size.
        layer: makes one layer from its units and settings.
        name: of the model and the first part of its layers' names.
    """
    tensor, x = blocks.inputs(problem)
    text = problem.kind == "text"
    bias = words.padding_bias(x) if text else None
    x = words.vectors(x, problem, options) if text else x
    for i in range(options.depth):
        x = layer(
            options.width,
            return_sequences=text or i + 1 < options.depth,
            kernel_regularizer=blocks.penalty(options),
            name=f"{name}_{i + 1}",
        )(x)
        x = blocks.dropout(x, options, f"dropout_{i + 1}")
    x = words.average(x, bias) if text else x
    return keras.Model(tensor, blocks.head(x, problem), name=name)
