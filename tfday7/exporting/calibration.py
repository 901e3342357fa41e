"""Which examples show a converter what numbers occur, for quantization after training."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset, pipeline
from tfday7.data.lazy import Inputs, take

CALIBRATION_EXAMPLES = 500
EXTREMES_AMONG = 10_000


def calibration_examples(dataset: Dataset, model: Any) -> np.ndarray:
    """Returns at most 500 training inputs, the same for every run of this model: int8 files can be made again.

    Up to half of them are those, of 10,000, on which an output is smallest or largest; the others are drawn at random.
    Int8 cuts off what lies outside of the range that it saw, and 500 random examples miss the ends: with them the
    largest difference halves (digits 5.1% -> 2.9%), while the mean one stays as it was within 8%. Where there are
    fewer training examples, validation examples join them: 50 digits alone missed a fifth of the range.
    """
    x = dataset.train.x
    order = np.random.default_rng(derive_seed(0, "calibration")).permutation(len(x))
    candidates = np.sort(order[:EXTREMES_AMONG])
    extreme = candidates[_extremes(model, take(x, candidates))]
    extreme = order[np.isin(order, extreme)][: CALIBRATION_EXAMPLES // 2]
    others = order[~np.isin(order, extreme)][: CALIBRATION_EXAMPLES - len(extreme)]
    chosen = x[np.sort(np.concatenate([extreme, others]))]
    missing = CALIBRATION_EXAMPLES - len(chosen)
    return np.concatenate([chosen, dataset.validation.x[:missing]]) if missing > 0 else chosen


def _extremes(model: Any, x: Inputs) -> np.ndarray:
    """Returns the indices of the examples on which each of the model's outputs is smallest, and largest."""
    done, found, least = 0, np.zeros((), np.int64), np.asarray(np.inf)
    for answers, part in pipeline.predict_in_parts(model, x):
        outputs = answers.reshape(len(part), -1)
        both = np.concatenate([outputs, -outputs], axis=1)  # The largest is the smallest of the negatives.
        lower = both.min(axis=0) < least
        found = np.where(lower, done + both.argmin(axis=0), found)
        least = np.where(lower, both.min(axis=0), least)
        done += len(part)
    return np.unique(found)
