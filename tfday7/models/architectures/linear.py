"""A linear model: logistic or linear regression, the baseline that a larger model has to beat.

On text it is linear in the counts of the words: each word has a vector of `width` numbers, of which the mean is read.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks, words
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

WIDTH = 32


@ARCHITECTURES.register("linear")
@architecture(kinds=(), width=WIDTH, depth=1)
def build(problem: Problem, options: Options) -> Any:
    """Returns one layer on the flattened inputs, with the L2 penalty of ridge regression if there is one.

    Raises:
        UserError: `depth` is not 1, or `width` is given for other data than text: neither would change anything.
    """
    if options.depth != 1:
        raise UserError(f"--depth={options.depth}: a linear model has one layer", "use --model=mlp for more")
    if problem.kind != "text" and options.width != WIDTH:
        raise UserError(f"--width={options.width}: a linear model has no units between", "use --model=mlp for them")
    tensor, x = blocks.inputs(problem)
    if problem.kind == "text":
        x = words.bag(x, problem, options)
    elif len(problem.input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    x = blocks.dropout(x, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem, blocks.penalty(options)), name="linear")
