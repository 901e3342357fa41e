"""A training of a repair: scored as a delivered model, and given up like a trial."""

from __future__ import annotations

import pytest

from tfday7.data import DataConfig, Dataset
from tfday7.diagnosis.repairing.candidates import canonical
from tfday7.diagnosis.repairing.retraining import Retrainer

MLP = {"model": "mlp", "width": "8", "depth": "1", "learning_rate": "0.05", "batch_size": "8"}


@pytest.mark.parametrize("epochs", [2, 6])
def test_several_targets_are_judged_by_the_mean_of_their_scores(epochs: int, homes: Dataset) -> None:
    retrainer = Retrainer(homes, DataConfig())
    flags = canonical({**MLP, "epochs": str(epochs)})
    trained, weights = retrainer(flags, seed=0, give_up=True, seconds=600.0)
    assert (trained.reason, len(trained.val_loss)) == ("", epochs)
    assert trained.value is not None
    assert trained.value > retrainer.guess
    assert weights
