"""A linear model: logistic or linear regression, the baseline that a larger model has to beat.

On text it is linear in the counts of the words: each word has a vector of `width` numbers, of which the mean is read.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks, words
from tfday7.models.architecture import ARCHITECTURES, Options, architecture


@ARCHITECTURES.register("linear")
@architecture(kinds=(), width=32, depth=1)
def build(problem: Problem, options: Options) -> Any:
    """Returns one layer on the flattened inputs; `width` is read for text only, and `depth` not at all."""
    tensor, x = blocks.inputs(problem)
    if problem.kind == "text":
        x = words.bag(x, problem, options)
    elif len(problem.input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    x = blocks.dropout(x, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem), name="linear")
