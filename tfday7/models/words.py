"""What architectures for text share: vectors of words, and means and attention that leave padding out.

All of it stays whole in int8: a fully quantized TFLite file has no comparison or cast of floating-point numbers and no
division by the number of words, and one scale serves all 256 steps of a tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.models.architecture import Options

PADDING_BIAS = -10.0


def vectors(tensor: Any, problem: Problem, options: Options) -> Any:
    """Returns the learned vector of each word: [batch, length] token ids -> [batch, length, width]."""
    return keras.layers.Embedding(len(problem.vocabulary), options.width, name="words")(tensor)


def padding_bias(tensor: Any) -> Any:
    """Returns what to add to attention scores: 0 for words, -10 for padding (id 0); [batch, length, 1].

    A table of two entries, looked up by min(id, 1). At -10 padding keeps 1/22,000 of a word's attention, and the scores
    keep most of int8's 256 steps; the usual -1e9 would take all of them.
    """
    table = np.array([[PADDING_BIAS], [0.0]], np.float32)
    lookup = keras.layers.Embedding(2, 1, weights=[table], trainable=False, name="padding_bias")
    return lookup(tf.minimum(tensor, 1))


def average(x: Any, bias: Any) -> Any:
    """Returns the mean of the words, without padding: [batch, length, width] -> [batch, width].

    Attention with equal scores, which needs no division by the number of words.
    """
    shares = keras.layers.Softmax(axis=1, name="shares")(bias)
    return keras.layers.Flatten(name="average")(keras.layers.Dot(axes=1, name="weighted_sum")([shares, x]))


def bag(tensor: Any, problem: Problem, options: Options) -> Any:
    """Returns the mean of the words' vectors, [batch, width]: text for layers that know of no order."""
    return average(vectors(tensor, problem, options), padding_bias(tensor))
