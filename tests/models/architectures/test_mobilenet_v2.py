"""MobileNetV2 against Keras's own."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building
from tfday7.models.architectures.mobilenet_v2 import rounded


def _build(side: int, classes: int = 10, **config: int) -> keras.Model:
    problem = Problem("classification", "image", (side, side, 3), classes, tuple(map(str, range(classes))))
    return building.build(ModelConfig(model="mobilenet_v2", **config), problem)


@pytest.mark.parametrize(("width", "alpha", "published"), [(32, 1.0, 3_538_984), (16, 0.5, None), (24, 0.75, None)])
def test_it_has_as_many_parameters_as_kerass_own(width: int, alpha: float, published: int | None) -> None:
    theirs = keras.applications.MobileNetV2(weights=None, alpha=alpha).count_params()
    assert theirs == (published or theirs)
    assert _build(224, 1000, width=width).count_params() == theirs


def test_with_equal_weights_it_gives_kerass_outputs() -> None:
    theirs = keras.applications.MobileNetV2(
        (128, 128, 3), weights=None, alpha=0.5, classes=10, classifier_activation=None
    )
    mine = _build(128, width=16)
    generator = np.random.default_rng(0)
    weights = [generator.uniform(-1, 1, weight.shape) for weight in theirs.get_weights()]
    for i, variable in enumerate(theirs.weights):
        if "variance" in variable.name or "gamma" in variable.name:
            weights[i] = np.abs(weights[i]) + 0.5
    theirs.set_weights(weights)
    mine.set_weights(weights)
    x = generator.uniform(size=(2, 128, 128, 3)).astype(np.float32)
    expected = theirs(x).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(mine(x).numpy(), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("filters", "expected"), [(1, 8), (8, 8), (11.9, 16), (12, 16), (16.8, 16), (18, 24), (33.6, 32)]
)
def test_filters_are_multiples_of_eight_within_a_tenth(filters: float, expected: int) -> None:
    assert rounded(filters) == expected


@pytest.mark.parametrize(("side", "last"), [(8, 4), (32, 4), (96, 6), (224, 7), (3, 3)])
def test_small_images_keep_some_of_their_size(side: int, last: int) -> None:
    model = _build(side, width=4)
    assert model.get_layer("average").input.shape[1:3] == (last, last)


def test_depth_is_the_number_of_stages() -> None:
    blocks = [1, 2, 3, 4, 3, 3, 1]
    for depth in (1, 4, 7):
        names = {layer.name for layer in _build(8, width=4, depth=depth).layers}
        assert f"block_{sum(blocks[:depth])}_project_conv" in names
        assert f"block_{sum(blocks[:depth]) + 1}_project_conv" not in names
    with pytest.raises(UserError, match="--depth=8"):
        _build(8, width=4, depth=8)
    with pytest.raises(UserError, match="--width=1024"):
        _build(8, width=1024)
