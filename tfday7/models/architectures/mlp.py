"""A multilayer perceptron: for tables, and the smallest baseline for everything else."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks, words
from tfday7.models.architecture import ARCHITECTURES, Options, architecture


@ARCHITECTURES.register("mlp")
@architecture(kinds=(), width=128, depth=2)
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` hidden layers of `width` units with ReLU; on text, on the mean of its words' vectors."""
    tensor, x = blocks.inputs(problem)
    if problem.kind == "text":
        x = words.bag(x, problem, options)
    elif len(problem.input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for i in range(options.depth):
        x = keras.layers.Dense(
            options.width, activation="relu", kernel_regularizer=blocks.penalty(options), name=f"hidden_{i + 1}"
        )(x)
        x = blocks.dropout(x, options, f"dropout_{i + 1}")
    return keras.Model(tensor, blocks.head(x, problem), name="mlp")
