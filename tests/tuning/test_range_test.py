"""The range test finds where a known curve falls fastest and explodes, and leaves no trace in the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.tuning import range_test
from tfday7.tuning.range_test import HIGHEST, LOWEST, STEPS, judge

RATES = np.geomspace(LOWEST, HIGHEST, STEPS).tolist()


def _curve(noise: float = 0.0) -> list[float]:
    """A fall from 2.3 to 0.3 that is steepest at 0.001 and over at 0.1; it explodes from 1 on."""
    generator = np.random.default_rng(0)
    logs = np.log10(RATES)
    losses = 0.3 + 2.0 / (1.0 + np.exp(4.0 * (logs + 3.0))) + np.exp(6.0 * logs) * 2
    return (losses + noise * generator.normal(size=STEPS)).tolist()


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_steepest_rate_and_the_divergence_of_a_known_curve(noise: float) -> None:
    found = judge(RATES, _curve(noise))
    assert math.log10(found.steepest) == pytest.approx(-3.0, abs=0.35)
    assert found.learning_rate == pytest.approx(found.steepest, rel=0.05)
    # Four times 0.3 is reached where 2 r^(6 / ln 10) = 0.9, at 0.736; a Gaussian of a quarter decade makes an
    # exponential of slope 6 larger by exp((6 / 4)^2 / 2), which is 0.19 decades.
    assert found.diverges_at == pytest.approx(0.736 * 10**-0.1875, rel=0.15)
    assert found.steepest < found.lowest < found.diverges_at


def test_a_loss_that_is_no_number_is_a_divergence() -> None:
    losses = _curve()
    at = next(index for index, rate in enumerate(RATES) if rate > 0.5)
    found = judge(RATES[: at + 1], [*losses[:at], math.nan])
    assert found.diverges_at == RATES[at]
    assert len(found.losses) == at


def test_a_curve_that_never_explodes_has_no_divergence() -> None:
    losses = np.minimum.accumulate(_curve()).tolist()
    assert judge(RATES, losses).diverges_at is None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_from_the_start_is_said(loss: float) -> None:
    with pytest.raises(UserError, match="the loss is no number before anything was learned"):
        judge([1e-6], [loss])


def test_a_curve_that_never_falls_is_refused() -> None:
    generator = np.random.default_rng(0)
    flat = (2.3 + 0.05 * generator.normal(size=STEPS)).tolist()
    with pytest.raises(UserError, match="the loss falls at no learning rate"):
        judge(RATES, flat)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_model_is_left_as_it_was_and_the_rate_trains_well(optimizer: str, blobs: Dataset) -> None:
    config, training = OptimizerConfig(optimizer=optimizer), TrainingConfig(epochs=5, batch_size=16)
    model = building.build(ModelConfig(model="mlp", width=8, depth=1, dropout=0.2), blobs.problem)
    before = model.get_weights()
    found = range_test.run(model, blobs, config, training)
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(found.rates) <= 200
    rated = OptimizerConfig(optimizer=optimizer, learning_rate=found.learning_rate)
    fresh = building.build(ModelConfig(model="mlp", width=8, depth=1, dropout=0.2), blobs.problem)
    tested, untested = (fitting.fit(each, blobs, rated, training) for each in (model, fresh))
    assert [r["loss"] for r in tested.records] == [r["loss"] for r in untested.records]  # As if there had been no test.
    assert tested.records[-1]["val_accuracy"] > 0.9
