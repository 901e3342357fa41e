"""Made-up inputs for models that come without data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.exporting import made_up


def test_images_lie_between_0_and_1_and_ids_in_the_vocabulary() -> None:
    inputs = keras.Input((4, 4, 3))
    images = made_up.dataset(keras.Model(inputs, keras.layers.Flatten()(inputs)), "images", None)
    assert images.test.x.shape == (16, 4, 4, 3)
    assert 0 <= images.test.x[:].min() < images.test.x[:].max() <= 1
    inputs = keras.Input((5,), dtype="int32")
    words = made_up.dataset(keras.Model(inputs, keras.layers.Embedding(7, 2)(inputs)), "words", None)
    assert words.test.x.dtype == np.int32
    assert set(np.unique(words.test.x[:])) <= set(range(7))


@pytest.mark.parametrize(
    ("dtype", "layer", "expected"),
    [
        ("uint8", lambda: keras.layers.Rescaling(1 / 255), range(256)),
        ("int32", lambda: keras.layers.CategoryEncoding(5, "multi_hot"), range(5)),
        ("uint8", lambda: keras.layers.Embedding(7, 2), range(7)),
        ("int64", lambda: keras.layers.IntegerLookup(vocabulary=[10, 20, 70, 2**40]), (10, 20, 70)),
        ("int32", lambda: keras.layers.Flatten(), (0, 1)),
    ],
)
def test_whole_numbers_are_those_that_the_model_takes(
    dtype: str, layer: Callable[[], Any], expected: Iterable[int]
) -> None:
    inputs = keras.Input((400,), dtype=dtype)
    made = made_up.dataset(keras.Model(inputs, layer()(inputs)), "whole", None)
    assert np.unique(made.test.x[:]).tolist() == list(expected)


def test_open_sizes_need_a_shape_that_fits() -> None:
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(UserError, match=r"\(None, None, 3\): sizes are open"):
        made_up.dataset(model, "open", None)
    with pytest.raises(UserError, match="--input_shape=8,8,1: open takes inputs of shape"):
        made_up.dataset(model, "open", (8, 8, 1))
    assert made_up.dataset(model, "open", (8, 8, 3)).test.x.shape[1:] == (8, 8, 3)
