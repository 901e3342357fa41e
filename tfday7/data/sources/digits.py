"""scikit-learn's 1,797 handwritten digits, 8x8 grey levels from 0 to 16: real data on every machine, no download."""

from __future__ import annotations

import numpy as np

from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, Raw, source


@SOURCES.register("digits")
@source()
def load(config: DataConfig) -> Raw:
    """Returns images as float32 [1797, 8, 8, 1] in [0, 1] and labels 0 to 9."""
    del config
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
    return Raw(images, digits.target.astype(np.int64), class_names=tuple("0123456789"), preprocessing="pixels / 16")
