"""A data set whose targets hold the teachers' answers, asked for once, beside the true labels.

It serves wherever training sees each input unchanged in every epoch. Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tfday7.compression.distillation.losses import Columns
from tfday7.compression.distillation.teachers import Teachers
from tfday7.data import Dataset, augmentation
from tfday7.data.dataset import Examples
from tfday7.data.lazy import LazyInputs
from tfday7.training.config import TrainingConfig
from tfday7.training.objective import class_weights


def repeats_exactly(dataset: Dataset, training: TrainingConfig) -> bool:
    """Returns whether answers can be kept: inputs are not augmented, and what is kept fits where the labels are.

    Answers that are as large as inputs which are read from disk do not.
    """
    too_large = dataset.problem.task == "reconstruction" and isinstance(dataset.train.x, LazyInputs)
    return not augmentation.parse(training.augment) and not too_large


def with_answers(dataset: Dataset, teachers: Teachers, training: TrainingConfig) -> tuple[Dataset, Columns]:
    """Returns the data with float32 targets [n, ..., labels + answers] to train and validate with, and their columns.

    Args:
        dataset: the labels; its test split stays as it is.
        teachers: are asked once about every input.
        training: its class weights become a first column, as Keras would look for a class among the answers; examples
            that validate count alike, as they do in Keras.
    """
    weights = class_weights(training.class_weights, dataset.problem, dataset.train.y)
    label_count = 1 if dataset.problem.task == "classification" else int(dataset.train.y.shape[-1])
    columns = Columns(label_count, weights is not None)
    train = _joined(dataset.train, teachers, weights)
    validation = _joined(dataset.validation, teachers, None if weights is None else dict.fromkeys(weights, 1.0))
    return dataclasses.replace(dataset, train=train, validation=validation), columns


def _joined(examples: Examples, teachers: Teachers, weights: Mapping[int, float] | None) -> Examples:
    labels = np.asarray(examples.y[:])
    parts = [labels[:, np.newaxis] if labels.ndim == 1 else labels, teachers.answers_to(examples)]
    if weights is not None:
        parts.insert(0, np.array([weights[label] for label in labels.tolist()])[:, np.newaxis])
    return Examples(examples.x, np.concatenate([part.astype(np.float32) for part in parts], axis=-1))
