"""The autoencoder: MLPerf Tiny's size, its input's shape at the way out, and no task but its own."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Problem
from tfday7.models import ModelConfig, building, describe


def again(kind: str, shape: tuple[int, ...]) -> Problem:
    channels = shape[-1]
    moments = {"target_mean": np.full(channels, 2.0, np.float32), "target_std": np.full(channels, 3.0, np.float32)}
    return Problem("reconstruction", kind, shape, int(np.prod(shape)), **moments)


def test_it_has_mlperf_tinys_layers_and_parameters() -> None:
    model = building.build(ModelConfig(model="autoencoder"), again("tabular", (640,)))
    kernels = 640 * 128 + 3 * 128 * 128 + 128 * 8 + 8 * 128 + 3 * 128 * 128 + 128 * 640
    biases, normalizations = 8 * 128 + 8 + 640, 4 * (8 * 128 + 8)
    assert model.count_params() == kernels + biases + normalizations == 269_992
    assert describe.describe(model).macs == kernels


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("image", (8, 8, 1)), ("image", (9, 14, 3)), ("image", (3, 40, 2)), ("series", (5, 2)), ("array", (2, 3, 4, 2))],
)
def test_it_gives_back_the_shape_that_it_took_in_the_inputs_unit(kind: str, shape: tuple[int, ...]) -> None:
    problem = again(kind, shape)
    model = building.build(ModelConfig(model="autoencoder", width=16, depth=2, dropout=0.1), problem)
    assert model.output_shape == (None, *shape)
    outputs = model.predict(np.random.default_rng(0).normal(size=(20, *shape)), verbose=0)
    assert 0.0 < outputs.mean() < 4.0  # Standardized values around 0 come out around the mean of 2.
    assert describe.describe(model).not_counted == {}


def test_the_code_of_an_image_is_smaller_than_the_image() -> None:
    model = building.build(ModelConfig(model="autoencoder"), again("image", (28, 28, 1)))
    assert np.prod(model.get_layer("code").output_shape[1:]) == 2 * 2 * 8 < 28 * 28


@pytest.mark.parametrize(
    ("model", "task", "expected"),
    [
        ("autoencoder", "classification", "--task=classification contradicts --model=autoencoder, which learns recon"),
        ("mlp", "reconstruction", "--task=reconstruction contradicts --model=mlp"),
        ("keras.applications:MobileNet", "reconstruction", "contradicts --model=keras.applications:MobileNet"),
    ],
)
def test_a_model_and_a_task_that_do_not_go_together_are_refused(model: str, task: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        building.implied_task(ModelConfig(model=model), task)


def test_the_model_says_what_is_learned() -> None:
    assert building.implied_task(ModelConfig(model="autoencoder"), "auto") == "reconstruction"
    assert building.implied_task(ModelConfig(model="cnn"), "auto") == "auto"
    assert building.implied_task(ModelConfig(model="own.keras"), "reconstruction") == "reconstruction"
