"""Changes of images [batch, height, width, channels]."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.data.augmentation import AUGMENTATIONS, augmentation, stream
from tfday7.data.dataset import Problem

SHIFT_SHARE = 8  # At most 1/8 of the side, as the usual crop out of 32 pixels padded by 4 (He et al., 2015).
CUTOUT_SHARE = 2  # Half of the side: 16 of 32 pixels for CIFAR-10 (DeVries & Taylor, 2017, arXiv:1708.04552).
MIN_CROP = 0.5
MAX_BRIGHTNESS = 0.2
MAX_CONTRAST = 0.3


@AUGMENTATIONS.register("flip")
@augmentation(kinds=("image",))
def flip(x: Any, seed: Any, problem: Problem) -> Any:
    """Mirrors half of the images left to right."""
    chosen = tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 1], seed) < 0.5
    return tf.where(chosen, tf.reverse(x, axis=[2]), x)


@AUGMENTATIONS.register("shift")
@augmentation(kinds=("image",))
def shift(x: Any, seed: Any, problem: Problem) -> Any:
    """Moves each image by up to an eighth of its side along both axes; what comes in from outside is zero."""
    limits = [max(1, side // SHIFT_SHARE) for side in x.shape[1:3]]
    moved = tf.pad(x, [[0, 0], [limits[0]] * 2, [limits[1]] * 2, [0, 0]])
    for axis, (side, limit) in enumerate(zip(x.shape[1:3], limits, strict=True), start=1):
        offset = tf.random.stateless_uniform([tf.shape(x)[0], 1], stream(seed, axis), 0, 2 * limit + 1, tf.int32)
        moved = tf.gather(moved, offset + tf.range(side)[tf.newaxis], axis=axis, batch_dims=1)
    return moved


@AUGMENTATIONS.register("crop")
@augmentation(kinds=("image",))
def crop(x: Any, seed: Any, problem: Problem) -> Any:
    """Stretches a part of each image to the whole: between half and all of each side (arXiv:1409.4842)."""
    count = tf.shape(x)[0]
    size = tf.random.stateless_uniform([count, 2], stream(seed, 1), MIN_CROP, 1.0)
    start = tf.random.stateless_uniform([count, 2], stream(seed, 2)) * (1.0 - size)
    return tf.image.crop_and_resize(x, tf.concat([start, start + size], axis=1), tf.range(count), x.shape[1:3])


@AUGMENTATIONS.register("cutout")
@augmentation(kinds=("image",))
def cutout(x: Any, seed: Any, problem: Problem) -> Any:
    """Sets a square of half the side, anywhere and partly outside too, to the image's mean (DeVries & Taylor, 2017)."""
    inside = tf.ones([1, 1, 1, 1], tf.bool)
    for axis, side in enumerate(x.shape[1:3], start=1):
        size = max(1, side // CUTOUT_SHARE)
        center = tf.random.stateless_uniform([tf.shape(x)[0], 1], stream(seed, axis), 0, side, tf.int32)
        distance = tf.range(side)[tf.newaxis] - center
        covered = (distance >= -(size // 2)) & (distance < size - size // 2)
        inside = inside & tf.reshape(covered, [-1, side, 1, 1] if axis == 1 else [-1, 1, side, 1])
    return tf.where(inside, tf.reduce_mean(x, axis=[1, 2, 3], keepdims=True), x)


@AUGMENTATIONS.register("color")
@augmentation(kinds=("image",), unit=True)
def color(x: Any, seed: Any, problem: Problem) -> Any:
    """Changes brightness by up to 0.2 and contrast by up to 30%, each image on its own; values stay in [0, 1]."""
    shape = [tf.shape(x)[0], 1, 1, 1]
    brightness = tf.random.stateless_uniform(shape, stream(seed, 1), -MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    contrast = tf.random.stateless_uniform(shape, stream(seed, 2), 1.0 - MAX_CONTRAST, 1.0 + MAX_CONTRAST)
    mean = tf.reduce_mean(x, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((x - mean) * contrast + mean + brightness, 0.0, 1.0)
