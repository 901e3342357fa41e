"""DS-CNN as MLPerf Tiny has it, and the memory that Hello Edge publishes for it."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building

WORDS = tuple("abcdefghijkl")
STEM = 10 * 4 * 1 * 64 + 64
BLOCK = (3 * 3 * 64 + 64) + (64 * 64 + 64)
LOGITS = 64 * 12 + 12
NORMALIZATION = 4 * 64


def test_on_a_spectrogram_it_has_24908_parameters() -> None:
    model = building.build(ModelConfig(model="ds_cnn"), Problem("classification", "image", (49, 10, 1), 12, WORDS))
    expected = STEM + NORMALIZATION + 4 * (BLOCK + 2 * NORMALIZATION) + LOGITS
    assert model.count_params() == expected == 24_908
    assert model.get_layer("stem_conv").output.shape[1:] == (25, 5, 64)
    assert model.get_layer("block_4_conv_relu").output.shape[1:] == (25, 5, 64)


def test_the_published_38_6_kilobytes_are_folded_weights_and_two_activations() -> None:
    """Hello Edge, table 1, DS-CNN small: 38.6 KB. One byte a weight and a value; BatchNormalization is folded away."""
    weights = STEM + 4 * BLOCK + LOGITS
    assert weights + 2 * (25 * 5 * 64) == 38_604


def test_a_series_is_read_as_a_spectrogram() -> None:
    mean, std = np.zeros(10, np.float32), np.ones(10, np.float32)
    series = Problem("classification", "series", (49, 10), 12, WORDS, feature_mean=mean, feature_std=std)
    model = building.build(ModelConfig(model="ds_cnn"), series)
    assert model.count_params() == 24_908


@pytest.mark.parametrize(
    ("shape", "kernel", "sides"),
    [
        ((8, 8, 3), (8, 4), (4, 4)),
        ((7, 28, 1), (7, 4), (7, 14)),
        ((2, 3, 1), (2, 3), (2, 3)),
        ((96, 96, 3), (10, 4), (48, 48)),
    ],
)
def test_small_sides_are_not_halved_and_the_stem_is_not_larger_than_the_image(
    shape: tuple[int, ...], kernel: tuple[int, int], sides: tuple[int, int]
) -> None:
    problem = Problem("classification", "image", shape, 12, WORDS)
    stem = building.build(ModelConfig(model="ds_cnn", width=4), problem).get_layer("stem_conv")
    assert isinstance(stem, keras.layers.Conv2D)
    assert stem.kernel_size == kernel
    assert stem.output.shape[1:] == (*sides, 4)
