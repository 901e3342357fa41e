"""Changes that mix examples, and their labels with them."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.data.augmentation import AUGMENTATIONS, augmentation, stream
from tfday7.data.dataset import Problem

ALPHA = 0.2  # Of the Beta distribution, as for ImageNet in the paper, section 3.1.


@AUGMENTATIONS.register("mixup")
@augmentation(kinds=("image", "series", "tabular"), labels=True)
def mixup(x: Any, y: Any, seed: Any, problem: Problem) -> tuple[Any, Any]:
    """Replaces each example by a mixture with another one of the batch (Zhang et al., 2018, arXiv:1710.09412).

    Labels come as class indices [batch] or as shares, and go as shares of the classes [batch, classes], float32.
    """
    batch = tf.shape(x)[0]
    shares = y if y.dtype.is_floating else tf.one_hot(y, problem.outputs)
    # A Beta variate is the share of one of two Gamma variates; tiny ones may both underflow to zero.
    first, second = (tf.random.stateless_gamma([batch], stream(seed, i), ALPHA) + 1e-12 for i in (1, 2))
    weight = first / (first + second)
    partner = tf.random.experimental.stateless_shuffle(tf.range(batch), stream(seed, 3))
    on_inputs = tf.reshape(weight, [-1] + [1] * (len(x.shape) - 1))
    mixed = on_inputs * x + (1.0 - on_inputs) * tf.gather(x, partner)
    on_labels = weight[:, tf.newaxis]
    return mixed, on_labels * shares + (1.0 - on_labels) * tf.gather(shares, partner)
