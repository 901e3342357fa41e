"""Changes of measured values: tables [batch, columns], series [batch, steps, channels], and images."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.data.augmentation import AUGMENTATIONS, augmentation, stream
from tfday7.data.dataset import Problem

NOISE_SHARE = 0.1  # Of each column's deviation in the training split; of 1 where values are scaled to [0, 1].
MASK_SHARE = 0.1  # Of the columns, or of the steps (SpecAugment's time masking; Park et al., 2019, arXiv:1904.08779).


@AUGMENTATIONS.register("noise")
@augmentation(kinds=("tabular", "series", "image", "array"))
def noise(x: Any, seed: Any, problem: Problem) -> Any:
    """Adds normal noise with a tenth of each column's or channel's deviation; 0.1 for images."""
    std = 1.0 if problem.feature_std is None else problem.feature_std
    return x + NOISE_SHARE * std * tf.random.stateless_normal(tf.shape(x), seed)


@AUGMENTATIONS.register("mask")
@augmentation(kinds=("tabular", "series"))
def mask(x: Any, seed: Any, problem: Problem) -> Any:
    """Sets a tenth of the columns at random, or a stretch of up to a fifth of the steps, to the training mean."""
    mean = tf.constant(problem.feature_mean)
    if problem.kind == "tabular":
        return tf.where(tf.random.stateless_uniform(tf.shape(x), seed) < MASK_SHARE, mean, x)
    batch, steps = tf.shape(x)[0], x.shape[1]
    longest = max(1, int(2 * MASK_SHARE * steps))
    length = tf.random.stateless_uniform([batch, 1], stream(seed, 1), 0, longest + 1, tf.int32)
    start = tf.random.stateless_uniform([batch, 1], stream(seed, 2), 0, steps, tf.int32)
    position = tf.range(steps)[tf.newaxis]
    return tf.where(((position >= start) & (position < start + length))[..., tf.newaxis], mean, x)
