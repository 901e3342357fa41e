"""The batches that training sees, and how long the input pipeline takes to make one.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import time
from typing import Any

from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset, augmentation, pipeline
from tfday7.training.config import TrainingConfig

TIMED_BATCHES = 50
TIMED_SECONDS = 0.5


def training_batches(dataset: Dataset, training: TrainingConfig, first_epoch: int = 0, first_step: int = 0) -> Any:
    """Returns the endless `tf.data.Dataset` of shuffled, augmented batches; see `pipeline.training_batches`.

    Args:
        dataset: its training split.
        training: batch size, seed and augmentation.
        first_epoch, first_step: where to start.

    Raises:
        UserError: the augmentation does not fit the data.
    """
    names = augmentation.check(training.augment, dataset.problem)
    change = augmentation.augmenter(names, dataset.problem, derive_seed(training.seed, "augment"))
    return pipeline.training_batches(dataset.train, training.batch_size, training.seed, first_epoch, first_step, change)


def input_ms(dataset: Dataset, training: TrainingConfig) -> float:
    """Returns how long the input pipeline alone takes for a batch (reading, shuffling, augmenting), in milliseconds.

    The mean of up to 50 batches in a row, after the first one, whose time goes into starting the pipeline. While the
    model trains the pipeline runs beside it: a step waits for data only as far as this exceeds the model's own time.

    Args:
        dataset, training: as of `training_batches`.
    """
    with pipeline.user_errors(dataset.train):
        batches = iter(training_batches(dataset, training))
        next(batches)
        count, started = 0, time.perf_counter()
        while count < TIMED_BATCHES and (count == 0 or time.perf_counter() - started < TIMED_SECONDS):
            next(batches)
            count += 1
        return (time.perf_counter() - started) * 1000.0 / count
