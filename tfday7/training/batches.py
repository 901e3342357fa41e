"""The batches that training sees, and how long the input pipeline takes to make one.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tfday7.core.frameworks import tf
from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset, augmentation, pipeline
from tfday7.data.pipeline import WHOLE, Parts
from tfday7.training.config import TrainingConfig

TIMED_BATCHES = 50
TIMED_SECONDS = 0.5


def training_batches(
    dataset: Dataset, training: TrainingConfig, first_epoch: int = 0, first_step: int = 0, parts: Parts = WHOLE
) -> Any:
    """Returns the endless `tf.data.Dataset` of shuffled, augmented batches; see `pipeline.training_batches`.

    Args:
        dataset: its training split.
        training: batch size, seed and augmentation.
        first_epoch, first_step: where to start.
        parts: of each batch.

    Raises:
        UserError: the augmentation does not fit the data.
    """
    names = augmentation.check(training.augment, dataset.problem)
    change = augmentation.augmenter(names, dataset.problem, derive_seed(training.seed, "augment")) if names else None
    where = (training.seed, first_epoch, first_step)
    return pipeline.training_batches(dataset.train, training.batch_size, *where, change, parts)


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


def weighting(weights: dict[int, float]) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
    """Returns a function (x, y) -> (x, y, weights [batch]); Keras's own stops where a batch is cut into parts.

    Args:
        weights: of each class, as of `objective.class_weights`.
    """
    table = tf.constant([weights[label] for label in sorted(weights)], tf.float32)

    def weigh(x: Any, y: Any) -> tuple[Any, Any, Any]:
        if y.dtype.is_floating:  # Shares of the classes: as Keras, the largest one's.
            return x, y, tf.gather(table, tf.argmax(y, axis=-1))
        return x, y, tf.gather(table, tf.cast(tf.reshape(y, [-1]), tf.int32))

    return weigh
