"""The range test finds where a known curve falls fastest and explodes, and leaves no trace in the model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.batches import training_batches
from tfday7.training.objective import class_weights
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


def _losses(monkeypatch: pytest.MonkeyPatch, model: Any, dataset: Dataset, **training: Any) -> list[float]:
    with monkeypatch.context() as patch:
        patch.setattr(range_test, "judge", lambda rates, losses: losses)
        patch.setattr(range_test, "STEPS", 20)
        config = TrainingConfig(batch_size=16, **training)
        return range_test.run(model, dataset, OptimizerConfig(optimizer="sgd"), config)


def test_frozen_layers_are_frozen_in_the_test_and_trainable_after_it(
    blobs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> Any:
        return building.build(ModelConfig(model="mlp", width=8, depth=1, dropout=0.0), blobs.problem)

    by_flag, by_hand, whole = model(), model(), model()
    for layer in by_hand.layers:
        layer.trainable = layer.name == "logits"
    before = [layer.trainable for layer in by_flag.layers]
    found = _losses(monkeypatch, by_flag, blobs, freeze=True)
    assert found == pytest.approx(_losses(monkeypatch, by_hand, blobs), rel=1e-5)
    assert found != pytest.approx(_losses(monkeypatch, whole, blobs), rel=1e-3)
    assert [layer.trainable for layer in by_flag.layers] == before
    assert [layer.name for layer in by_hand.layers if layer.trainable] == ["logits"]


def test_classes_weigh_in_the_test_what_they_weigh_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    y = (np.arange(300) % 10 == 0).astype(np.int64)
    dataset = prepare(Raw(generator.normal(size=(300, 2)), y), "rare")
    model = building.build(ModelConfig(model="linear"), dataset.problem)
    x, labels = (part.numpy() for part in next(iter(training_batches(dataset, TrainingConfig(batch_size=16)))))
    weights = class_weights("balanced", dataset.problem, dataset.train.y) or {}
    logits = model.predict(x, verbose=0).astype(np.float64)
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(16), labels]
    expected = np.mean(nats * [weights[label] for label in labels.tolist()])
    assert _losses(monkeypatch, model, dataset, class_weights="balanced")[0] == pytest.approx(expected, rel=1e-4)


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
