"""How long the input pipeline takes is measured, not guessed."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from tfday7.data import Dataset
from tfday7.data.dataset import Examples
from tfday7.data.lazy import LazyInputs
from tfday7.training import TrainingConfig
from tfday7.training.batches import input_ms, training_batches

SECONDS_PER_READ = 0.05


class Slow(LazyInputs):
    """Inputs that take 50 ms a batch to read, one batch at a time."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__(x.shape, np.float32)
        self.x = x

    def read(self, indices: np.ndarray) -> np.ndarray:
        time.sleep(SECONDS_PER_READ)
        return self.x[indices].astype(np.float32)


def test_a_slow_source_shows_and_a_fast_one_does_not(blobs: Dataset) -> None:
    slow = dataclasses.replace(blobs, train=Examples(Slow(np.asarray(blobs.train.x)), blobs.train.y))
    training = TrainingConfig(batch_size=8)
    fast_ms, slow_ms = input_ms(blobs, training), input_ms(slow, training)
    readers = 32  # tf.data reads several batches at once, but not more than it has threads for.
    assert slow_ms > 1000 * SECONDS_PER_READ / readers
    assert fast_ms < slow_ms


def test_batches_continue_where_a_run_was_interrupted(blobs: Dataset) -> None:
    training = TrainingConfig(batch_size=8, augment="noise", seed=3)
    steps = -(-len(blobs.train) // 8)
    whole = list(training_batches(blobs, training).take(steps + 4).as_numpy_iterator())
    rest = list(training_batches(blobs, training, first_epoch=1, first_step=2).take(2).as_numpy_iterator())
    for (x, y), (expected_x, expected_y) in zip(rest, whole[steps + 2 :], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


@pytest.mark.parametrize("batch_size", [1, 139])
def test_any_batch_size_can_be_timed(batch_size: int, blobs: Dataset) -> None:
    assert input_ms(blobs, TrainingConfig(batch_size=batch_size)) > 0
