"""A run whose loss is no longer a number goes back, at a lower rate, and leaves out the batches that broke it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset, Examples
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting


def model(dataset: Dataset) -> Any:
    return building.build(ModelConfig(model="linear"), dataset.problem)


def poisoned(dataset: Dataset) -> Dataset:
    """Returns the data with one training example that is not a number (which a ReLU would hide): once an epoch."""
    x = np.array(dataset.train.x)
    x[17] = math.nan
    return dataclasses.replace(dataset, train=Examples(x, dataset.train.y))


@pytest.mark.parametrize("optimizer", [{"learning_rate": 0.01}, {"learning_rate": 0.01, "schedule": "cosine"}])
def test_each_epoch_leaves_out_the_batches_with_the_broken_example(optimizer: dict[str, Any], blobs: Dataset) -> None:
    training = TrainingConfig(epochs=3, batch_size=4, recoveries=5)
    result = fitting.fit(model(blobs), poisoned(blobs), OptimizerConfig(**optimizer), training)
    assert result.stopped == "finished"
    assert [each["epoch"] for each in result.recoveries] == [1, 2, 3]
    assert [each["rate_factor"] for each in result.recoveries] == [0.5, 0.25, 0.125]
    assert all(0 < each["steps_left_out"] <= 35 for each in result.recoveries)
    assert all(math.isfinite(value) for record in result.records for value in record.values())
    if "schedule" not in optimizer:
        assert result.records[-1]["learning_rate"] == pytest.approx(0.01 * 0.125)


def test_a_run_goes_back_at_most_so_often(blobs: Dataset) -> None:
    training = TrainingConfig(epochs=3, batch_size=4, recoveries=1)
    result = fitting.fit(model(blobs), poisoned(blobs), OptimizerConfig(learning_rate=0.01), training)
    assert result.stopped == "nan"
    assert len(result.recoveries) == 1


def test_a_rate_that_is_too_high_is_lowered_until_it_holds(line: Dataset) -> None:
    """Gradient descent on a square diverges above a rate of 2 / curvature; standardized inputs have curvature 2."""
    config = ModelConfig(model="linear")
    training = TrainingConfig(epochs=4, batch_size=140, recoveries=12)
    rate = OptimizerConfig(optimizer="sgd", learning_rate=1e20)
    assert fitting.fit(building.build(config, line.problem), line, rate, TrainingConfig(epochs=4)).stopped == "nan"
    result = fitting.fit(building.build(config, line.problem), line, rate, training)
    assert result.recoveries


def test_what_was_left_out_and_the_lower_rate_last_through_a_restart(blobs: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    training = TrainingConfig(epochs=3, batch_size=4, recoveries=5)
    first = fitting.fit(model(blobs), poisoned(blobs), OptimizerConfig(learning_rate=0.01), training, folder, until=1)
    assert len(first.recoveries) == 1
    second = fitting.fit(model(blobs), poisoned(blobs), OptimizerConfig(learning_rate=0.01), training, folder)
    whole = fitting.fit(model(blobs), poisoned(blobs), OptimizerConfig(learning_rate=0.01), training)
    assert second.recoveries == whole.recoveries
    assert [r["val_loss"] for r in second.records] == [r["val_loss"] for r in whole.records]
