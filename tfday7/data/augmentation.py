"""Random changes of training inputs that keep the label, drawn as a pure function of (seed, step).

Never applied to validation or test. Each works on a whole batch at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.frameworks import tf
from tfday7.core.seeds import derive_seed

MAX_SHIFT_SHARE = 8  # A shift moves an image by at most 1/8 of its side, as the usual crop of 4 pixels around 32 does.
NOISE_STD = 0.1  # In units of each value; inputs of models here are scaled to about 1.


def flip(x: Any, seed: Any) -> Any:
    """Mirrors half of the images [batch, height, width, channels] left to right."""
    chosen = tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 1], seed) < 0.5
    return tf.where(chosen, tf.reverse(x, axis=[2]), x)


def shift(x: Any, seed: Any) -> Any:
    """Moves each image by up to an eighth of its side along both axes; what comes in from outside is zero."""
    limits = [max(1, side // MAX_SHIFT_SHARE) for side in x.shape[1:3]]
    moved = tf.pad(x, [[0, 0], [limits[0]] * 2, [limits[1]] * 2, [0, 0]])
    for axis, (side, limit) in enumerate(zip(x.shape[1:3], limits, strict=True), start=1):
        stream = tf.random.experimental.stateless_fold_in(seed, axis)
        offset = tf.random.stateless_uniform([tf.shape(x)[0], 1], stream, 0, 2 * limit + 1, tf.int32)
        moved = tf.gather(moved, offset + tf.range(side)[tf.newaxis], axis=axis, batch_dims=1)
    return moved


def noise(x: Any, seed: Any) -> Any:
    """Adds normal noise with a standard deviation of 0.1 to every value."""
    return x + NOISE_STD * tf.random.stateless_normal(tf.shape(x), seed)


AUGMENTATIONS: dict[str, Callable[[Any, Any], Any]] = {"flip": flip, "shift": shift, "noise": noise}
IMAGES_ONLY = ("flip", "shift")


def parse(names: str, kind: str) -> tuple[str, ...]:
    """Returns the augmentations in a comma list.

    Args:
        names: for example "flip,shift"; empty for none.
        kind: the data's kind, as in `Problem.kind`.

    Raises:
        UserError: an unknown name, or one that only images can take.
    """
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", name, AUGMENTATIONS)
        if name in IMAGES_ONLY and kind != "image":
            raise UserError(f"--augment={name} needs images; the data is {kind}", "use --augment=noise")
    return chosen


def augmenter(names: Sequence[str], seed: int) -> Callable[[Any, Any], Any]:
    """Returns a function (x, step) -> x that applies the named augmentations in order.

    Args:
        names: keys of `AUGMENTATIONS`.
        seed: the stream's seed.
    """
    streams = [(AUGMENTATIONS[name], derive_seed(seed, name)) for name in names]

    def apply(x: Any, step: Any) -> Any:
        for change, stream in streams:
            x = change(x, tf.stack([tf.constant(stream, tf.int64), tf.cast(step, tf.int64)]))
        return x

    return apply
