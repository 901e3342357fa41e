"""A transformer encoder that classifies text (Vaswani et al., 2017, arXiv:1706.03762), normalized before each block.

Learned positions, and layer normalization before attention and before the feed-forward part (Xiong et al., 2020,
arXiv:2002.04745), which trains without warm-up; ReLU, which every runtime has in int8. The embeddings are normalized,
as BERT's are: otherwise the variances inside range over a factor of 100, of which int8 has 256 steps, and the largest
error of the int8 file was 13% of the largest output instead of 6%. The sizes of Turc et al. (2019,
arXiv:1908.08962), each with a head of 64 units and a feed-forward part of four times the width:

    tiny    --width=128 --depth=2    (the default)
    mini    --width=256 --depth=4
    small   --width=512 --depth=4
    medium  --width=512 --depth=8
    base    --width=768 --depth=12
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.models import blocks, words
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

HEAD_UNITS = 64
FEED_FORWARD = 4


@ARCHITECTURES.register("transformer")
@architecture(kinds=("text",), width=128, depth=2)
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` blocks of self-attention and feed-forward layers of `width` units, and the mean of the words."""
    tensor, ids = blocks.inputs(problem)
    (length,) = problem.input_shape
    positions = keras.layers.Embedding(length, options.width, name="positions")(tf.zeros_like(ids) + tf.range(length))
    x = keras.layers.Add(name="embedded")([words.vectors(ids, problem, options), positions])
    x = blocks.dropout(_normalized(x, "embedded_norm"), options, "dropout")
    bias = words.padding_bias(ids)
    for i in range(options.depth):
        x = _block(x, bias, options, f"block_{i + 1}")
    x = _normalized(x, "norm")
    return keras.Model(tensor, blocks.head(words.average(x, bias), problem), name="transformer")


def heads(width: int) -> int:
    """Returns the number of attention heads: one for 64 units, at least one, and a divisor of the width."""
    return next(count for count in range(max(1, width // HEAD_UNITS), 0, -1) if width % count == 0)


def _block(x: Any, bias: Any, options: Options, name: str) -> Any:
    attended = _attention(_normalized(x, f"{name}_attention_norm"), bias, options, name)
    attended = blocks.dropout(attended, options, f"{name}_attention_dropout")
    x = keras.layers.Add(name=f"{name}_attention_add")([x, attended])
    hidden = _normalized(x, f"{name}_feed_forward_norm")
    hidden = _dense(options, FEED_FORWARD * options.width, f"{name}_hidden", activation="relu")(hidden)
    hidden = _dense(options, options.width, f"{name}_narrow")(hidden)
    hidden = blocks.dropout(hidden, options, f"{name}_feed_forward_dropout")
    return keras.layers.Add(name=f"{name}_feed_forward_add")([x, hidden])


def _attention(x: Any, bias: Any, options: Options, name: str) -> Any:
    length, width, count = x.shape[1], options.width, heads(options.width)
    layers = keras.layers

    def split(side: str) -> Any:
        projected = _dense(options, width, f"{name}_{side}")(x)
        projected = layers.Reshape((length, count, width // count), name=f"{name}_{side}_heads")(projected)
        return layers.Permute((2, 1, 3), name=f"{name}_{side}_first")(projected)

    query, key, value = (split(side) for side in ("query", "key", "value"))
    query = layers.Rescaling((width // count) ** -0.5, name=f"{name}_scaled")(query)
    scores = tf.matmul(query, key, transpose_b=True)
    masked = layers.Add(name=f"{name}_masked")([scores, layers.Reshape((1, 1, length), name=f"{name}_bias")(bias)])
    shares = layers.Softmax(name=f"{name}_shares")(masked)
    shares = blocks.dropout(shares, options, f"{name}_shares_dropout")
    joined = layers.Permute((2, 1, 3), name=f"{name}_words_first")(tf.matmul(shares, value))
    return _dense(options, width, f"{name}_output")(layers.Reshape((length, width), name=f"{name}_joined")(joined))


def _dense(options: Options, units: int, name: str, **settings: Any) -> Any:
    return keras.layers.Dense(units, kernel_regularizer=blocks.penalty(options), name=name, **settings)


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)
