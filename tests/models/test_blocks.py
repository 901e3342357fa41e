"""The way in and the way out that all architectures share."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, blocks, building
from tfday7.models.architecture import Options


@pytest.fixture
def raw_table() -> Raw:
    """Columns of very different size, as measurements are."""
    generator = np.random.default_rng(0)
    x = generator.normal([2000.0, 0.001, -5e5, 7.0], [3.0, 1e-4, 9e4, 0.0], (400, 4))
    return Raw(x, 300 + 40 * generator.normal(size=(400, 2)))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_standardize_gives_training_features_mean_0_and_deviation_1(raw_table: Raw, policy: str) -> None:
    dataset = prepare(raw_table, "t")
    model = building.build(ModelConfig(model="mlp", width=2), dataset.problem, policy)
    standardized = keras.Model(model.input, model.get_layer("standardize").output)(dataset.train.x).numpy()
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(standardized.std(axis=0)[:3], 1, atol=1e-3)
    np.testing.assert_array_equal(standardized[:, 3], 0)  # A constant column says nothing.
    assert np.isfinite(model(dataset.train.x)).all()


def test_images_are_taken_as_they_are() -> None:
    tensor, seen = blocks.inputs(Problem("classification", "image", (4, 4, 1), 2, ("a", "b")))
    assert tensor is seen


def test_a_regressor_answers_in_the_targets_unit(raw_table: Raw) -> None:
    dataset = prepare(raw_table, "t")
    model = building.build(ModelConfig(model="mlp", width=2), dataset.problem)
    last = model.get_layer("standardized_output")
    last.set_weights([np.zeros((2, 2)), np.array([0.0, 1.5])])
    mean, std = dataset.problem.target_mean, dataset.problem.target_std
    expected = [mean[0], mean[1] + 1.5 * std[1]]
    np.testing.assert_allclose(model(dataset.test.x[:3]), [expected] * 3, rtol=1e-6)


def test_a_classifier_ends_in_logits() -> None:
    model = building.build(
        ModelConfig(model="mlp", width=2), Problem("classification", "array", (2, 2), 3, ("a", "b", "c"))
    )
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear


def test_filters_double_up_to_a_limit() -> None:
    assert blocks.filters(Options(16, 4)) == [16, 32, 64, 128]
    assert blocks.filters(Options(1, 14))[-1] == 8192
    with pytest.raises(UserError, match="more than 8,192 filters"):
        blocks.filters(Options(1, 15))
