"""What the advisor is told of a training that is about to begin."""

from __future__ import annotations

import pytest

from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.training import TrainingConfig
from tfday7.tuning import settling


@pytest.mark.parametrize(
    ("training", "parameters"),
    [
        (TrainingConfig(), (2 * 4 + 4) + (4 * 2 + 2)),
        (TrainingConfig(freeze=True), 4 * 2 + 2),
        (TrainingConfig(freeze=True, unfreeze_epochs=1), (2 * 4 + 4) + (4 * 2 + 2)),
    ],
)
def test_weights_that_stay_frozen_are_none_to_train(training: TrainingConfig, parameters: int, blobs: Dataset) -> None:
    config = ModelConfig(model="mlp", width=4, depth=1)
    model = building.build(config, blobs.problem)
    assert settling.situation(blobs, model, config, training, trials=0).parameters == parameters
