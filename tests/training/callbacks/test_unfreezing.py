"""Which layers train is a function of the epoch; a stopped run goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, config, fitting

ADAM = OptimizerConfig(learning_rate=0.01)


def _model(dataset: Dataset) -> keras.Model:
    return building.build(ModelConfig(model="mlp", width=6, depth=4, dropout=0.1), dataset.problem)


def _changed(dataset: Dataset, epochs: int, every: int) -> list[str]:
    model = _model(dataset)
    before = {layer.name: [weight.copy() for weight in layer.get_weights()] for layer in model.layers}
    training = TrainingConfig(epochs=epochs, freeze=True, unfreeze_epochs=every)
    fitting.fit(model, dataset, OptimizerConfig(optimizer="sgd", learning_rate=0.01), training)
    return [
        layer.name
        for layer in model.layers
        if any(not np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
    ]


@pytest.mark.slow
def test_only_the_last_layer_trains_until_others_may(blobs: Dataset) -> None:
    assert _changed(blobs, epochs=3, every=0) == ["logits"]
    assert _changed(blobs, epochs=2, every=2) == ["logits"]
    assert _changed(blobs, epochs=4, every=2) == ["hidden_4", "logits"]
    assert _changed(blobs, epochs=6, every=2) == ["hidden_3", "hidden_4", "logits"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_goes_on_ends_with_the_same_weights(blobs: Dataset, tmp_path: Path, stop: int) -> None:
    def fit(epochs: int, name: str) -> list[np.ndarray]:
        model = _model(blobs)
        training = TrainingConfig(epochs=epochs, freeze=True, unfreeze_epochs=2)
        fitting.fit(model, blobs, ADAM, training, RunFolder(tmp_path / name))
        return model.get_weights()

    whole = fit(6, "whole")
    fit(stop, "parts")
    for mine, theirs in zip(fit(6, "parts"), whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_flags_that_contradict_are_named() -> None:
    with pytest.raises(UserError, match="--unfreeze_epochs=2 needs --freeze"):
        config.check_flags(TrainingConfig(unfreeze_epochs=2), ModelConfig())
    with pytest.raises(UserError, match="--unfreeze_epochs=5 is not shorter than the run of --epochs=5"):
        config.check_flags(TrainingConfig(freeze=True, unfreeze_epochs=5, epochs=5), ModelConfig())
    config.check_flags(TrainingConfig(freeze=True, unfreeze_epochs=4, epochs=5), ModelConfig())
