"""From raw values to what a file takes and back, by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.exporting import feeding


@pytest.mark.parametrize(
    ("said", "divisor"),
    [("", 1.0), ("pixels / 255", 255.0), ("grey, resized to 8 x 8, pixels / 16", 16.0), ("pixels / 2.5", 2.5),
     ("pixels / 255, then more", 1.0), ("columns are encoded, in this order (a)", 1.0),
     ("the columns in this order (pixels / 255)", 1.0)],
)  # fmt: skip
def test_the_divisor_is_what_the_preprocessing_ends_with(said: str, divisor: float) -> None:
    assert feeding.divisor_of(said) == divisor


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_pixels_come_back_as_whole_numbers_and_divide_to_the_same(pixels: list[int]) -> None:
    x = np.array(pixels, np.float32) / np.float32(255)
    raw = feeding.raw_of(x, 255.0)
    assert raw.tolist() == pixels
    np.testing.assert_array_equal(feeding.divided(raw, {"divisor": 255.0}), x)


def test_token_ids_are_no_quantities() -> None:
    ids = np.array([[3, 4]], np.int32)
    assert feeding.raw_of(ids, 255.0) is ids
    assert feeding.divided(ids, {"divisor": 255.0}) is ids


def test_columns_are_standardized_and_answers_restored_in_double_precision() -> None:
    end = {"standardization": {"mean": [1e6, 0.0], "std": [0.5, 2.0]}}
    x = np.array([[1e6 + 1, 3.0]], np.float32)
    assert feeding.standardized(x, end).tolist() == [[2.0, 1.5]]
    assert feeding.restored(np.array([[2.0, 1.5]], np.float32), end).tolist() == x.tolist()
    assert feeding.standardized(x, {"standardization": None}) is x
