"""The built-in data set is scikit-learn's."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from tfday7.data import DataConfig
from tfday7.data.source import SOURCES


def test_images_and_labels_are_scikit_learns_scaled_to_1() -> None:
    raw = SOURCES.get("digits").load(DataConfig())
    reference = load_digits()
    assert raw.x.shape == (1797, 8, 8, 1)
    np.testing.assert_array_equal(raw.x.reshape(1797, 64) * 16, reference.data)
    np.testing.assert_array_equal(raw.y, reference.target)
    assert raw.class_names == tuple(str(digit) for digit in range(10))
