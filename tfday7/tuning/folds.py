"""Cross-validation: the training split in parts, of which each validates once what the others have taught.

The validation and the test split are left alone: they judge what the search has chosen.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.data.dataset import Examples
from tfday7.data.lazy import take
from tfday7.data.loading import content_hashes


def fold(dataset: Dataset, folds: int, index: int) -> Dataset:
    """Returns the data set whose training and validation splits are parts of the given one's training split.

    Which part an example is in follows from its content, or from its group: equal examples, and those of one group, are
    never on two sides. Means and deviations in `problem` stay those of the whole training split.

    Args:
        dataset: the data.
        folds: how many parts, 2 or more.
        index: which of them validates, from 0.

    Raises:
        UserError: a part would be empty.
    """
    train = dataset.train
    hashes = content_hashes(train.x) if dataset.groups is None else content_hashes(dataset.groups[:, np.newaxis])
    part = np.minimum((hashes * folds).astype(np.int64), folds - 1)
    sides = [np.flatnonzero(part != index), np.flatnonzero(part == index)]
    if any(len(side) == 0 for side in sides):
        raise UserError(
            f"--folds={folds}: a part of the training split of {len(train)} examples is empty", "use fewer folds"
        )
    learning, validating = (Examples(take(train.x, side), train.y[side]) for side in sides)
    groups = None if dataset.groups is None else dataset.groups[sides[0]]
    return dataclasses.replace(dataset, train=learning, validation=validating, groups=groups)
