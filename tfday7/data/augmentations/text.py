"""Changes of text, token ids [batch, length]; id 0 is padding and id 1 the unknown word."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import tf
from tfday7.data.augmentation import AUGMENTATIONS, augmentation
from tfday7.data.dataset import Problem

DROP_SHARE = 0.1  # As in word dropout for sentence classification (Iyyer et al., 2015, section 3.2, has 0.3 at most).
PADDING, UNKNOWN = 0, 1


@AUGMENTATIONS.register("token_dropout")
@augmentation(kinds=("text",))
def token_dropout(x: Any, seed: Any, problem: Problem) -> Any:
    """Replaces a tenth of the words by the unknown one; padding stays."""
    dropped = (tf.random.stateless_uniform(tf.shape(x), seed) < DROP_SHARE) & (x != PADDING)
    return tf.where(dropped, tf.constant(UNKNOWN, x.dtype), x)
