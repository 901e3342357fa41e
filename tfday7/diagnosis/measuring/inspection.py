"""Looks at the data apart from any model: what simple methods make of it, and what would make any score a lie.

Everything is measured on at most `EXAMPLES` examples of each split, drawn with a fixed seed: seconds, whatever the size
of the data. The test split is not touched. Loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors

from tfday7.core import files
from tfday7.core.run_folder import HEALTH, RunFolder
from tfday7.data import Dataset, Examples, Problem
from tfday7.data.lazy import chunks, take
from tfday7.data.scoring import baseline, score
from tfday7.diagnosis import health
from tfday7.diagnosis.health import ROUNDING, DataHealth, References

EXAMPLES = 2000  # Of a split.
FEATURES = 512  # Of an example; larger inputs are pooled, or every so many positions are taken.
NEIGHBOURS = 5
PENALTY = 1.0  # Of the linear model, per example: scale-free, as features are standardized.
# Two examples are twins when they are this much nearer than training examples are to each other, at the median.
TWINS = 0.1
MAX_CODES = 20  # More different whole numbers than this are a quantity, not codes of classes.
MIN_MISTAKES = 10  # Fewer wrong votes show no pattern.
SIMPLE = ("classification", "regression")  # The tasks that simple methods are tried on.


def inspect(dataset: Dataset) -> tuple[DataHealth, References]:
    """Returns what the data looks like, and what simple methods reach with it.

    Args:
        dataset: its training and validation split are looked at.
    """
    problem = dataset.problem
    train, validation = (_sample(part) for part in (dataset.train, dataset.validation))
    features = _features(problem, train.x, validation.x)
    # Windows of a series overlap, and are split by time: they can always be told apart.
    shift, error = (None, None) if problem.kind == "series" else _shift(*features)
    codes = _are_codes(problem, train.y)
    data = DataHealth(
        class_counts=_counts(problem, dataset.train),
        duplicates=_twins(problem, train, validation, features),
        shift=shift,
        shift_error=error,
        distinct_targets=len(np.unique(train.y)) if problem.task == "regression" else None,
        whole_targets=codes,
        target_largest=_largest_target(problem, train.y),
    )
    return data, _references(problem, train, validation, features, codes)


def record(dataset: Dataset, folder: RunFolder) -> None:
    """Adds what the data looks like to health.json of a run."""
    _, known = health.read(folder)
    data, references = inspect(dataset)
    known |= {"data": dataclasses.asdict(data), "references": dataclasses.asdict(references)}
    files.write_json(folder / HEALTH, known)


class _Sample(NamedTuple):
    """Some examples of a split, in memory.

    Attributes:
        x: inputs, images pooled.
        y: targets.
        contents: a digest of each whole input; equal inputs have equal ones.
    """

    x: np.ndarray
    y: np.ndarray
    contents: list[bytes]


def _sample(part: Examples) -> _Sample:
    """Returns at most EXAMPLES examples, of at most 50 million values; of images only a part is in memory at a time."""
    size = max(1, int(np.prod(part.x.shape[1:])))
    count = min(len(part), EXAMPLES, max(50, 50_000_000 // size))
    chosen = np.sort(np.random.default_rng(0).permutation(len(part))[:count])
    pooled, contents = [], []
    for inputs in chunks(take(part.x, chosen)):
        pooled.append(_pooled(inputs))
        contents += [hashlib.blake2b(each.tobytes(), digest_size=16).digest() for each in inputs]
    return _Sample(np.concatenate(pooled), np.asarray(part.y[chosen]), contents)


def _features(problem: Problem, train: np.ndarray, validation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns both inputs as float64 [n, features], standardized by the training split: columns, pixels, or words."""
    if problem.vocabulary:
        often = np.bincount(train.ravel(), minlength=len(problem.vocabulary))
        often[0] = 0  # Padding.
        common = np.argsort(-often, kind="stable")[:FEATURES]
        parts = [np.concatenate([_word_counts(x, common), _rarity(x)], axis=1) for x in (train, validation)]
    else:
        parts = [_values(x).astype(np.float64) for x in (train, validation)]
    mean, std = parts[0].mean(axis=0), parts[0].std(axis=0)
    std = np.where(std > ROUNDING * np.abs(mean), std, 1.0)  # Relative: a column may be in units as small as you like.
    return (parts[0] - mean) / std, (parts[1] - mean) / std


def _values(x: np.ndarray) -> np.ndarray:
    """Returns [n, values]: all, or those of every so many positions with all their channels, or every so many values.

    A step through the values themselves would meet the same channel each time: the reds of an image.
    """
    channels = x.shape[-1] if x.ndim > 2 else 1
    if channels > FEATURES:
        channels = 1
    spots = x.reshape(len(x), -1, channels)
    step = max(1, math.ceil(spots.shape[1] / (FEATURES // channels)))
    return spots[:, ::step].reshape(len(x), -1)


def _word_counts(tokens: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Returns float64 [n, words]: how often each of these words is in each example."""
    place = np.full(max(int(tokens.max(initial=0)), int(words.max(initial=0))) + 1, -1)
    place[words] = np.arange(len(words))
    rows, columns = np.nonzero(place[tokens] >= 0)
    counts = np.zeros((len(tokens), len(words)))
    np.add.at(counts, (rows, place[tokens[rows, columns]]), 1.0)
    return counts


def _rarity(tokens: np.ndarray) -> np.ndarray:
    """Returns float64 [n, 2]: the number of words, and how rare they are on average; ids go from common to rare."""
    words = np.maximum((tokens > 0).sum(axis=1), 1)
    return np.stack([words, np.where(tokens > 0, np.log1p(tokens), 0.0).sum(axis=1) / words], axis=1)


def _pooled(x: np.ndarray) -> np.ndarray:
    """Returns images of at most 32 x 32 by taking the mean of blocks; everything else as it is."""
    if x.ndim != 4:
        return x
    block = [max(1, math.ceil(size / 32)) for size in x.shape[1:3]]
    height, width = (size // step * step for size, step in zip(x.shape[1:3], block, strict=True))
    parts = x[:, :height, :width].reshape(len(x), height // block[0], block[0], width // block[1], block[1], x.shape[3])
    return parts.mean(axis=(2, 4))


def _counts(problem: Problem, part: Examples) -> tuple[int, ...]:
    if problem.task != "classification":
        return ()
    return tuple(np.bincount(np.asarray(part.y[:]), minlength=problem.outputs).tolist())


def _largest_target(problem: Problem, y: np.ndarray) -> float | None:
    """Returns the largest distance of a target from the median, in deviations that outliers do not widen."""
    if problem.task != "regression":
        return None
    apart = np.abs(y - np.median(y, axis=0))
    deviation = 1.4826 * np.median(apart, axis=0)  # That of a normal variable with this median distance.
    return float(np.max(apart / np.where(deviation > 0, deviation, np.inf)))


def _are_codes(problem: Problem, y: np.ndarray) -> bool:
    """Returns whether a regression's targets are a few whole numbers, as classes are often coded."""
    few = problem.task == "regression" and problem.outputs == 1 and 3 <= len(np.unique(y)) <= MAX_CODES
    return bool(few and np.all(y == np.round(y)))


def _shift(train: np.ndarray, validation: np.ndarray) -> tuple[float | None, float | None]:
    """Returns the area under the ROC curve of a classifier between the splits, and its standard error.

    A ridge classifier on the features and their squares, or the best of all features alone, judged on folds that they
    did not see: a classifier two-sample test (Lopez-Paz and Oquab, 2017, arXiv:1610.06545). The error is that of the
    Mann-Whitney statistic when there is nothing to be told apart.
    """
    count = min(len(train), len(validation))
    if count < 20:
        return None, None
    x = np.concatenate([train[:count], validation[:count]])
    y = np.repeat([0, 1], count)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    squared = np.concatenate([x, np.minimum(np.square(x), 25.0)], axis=1)
    told = cross_val_predict(
        RidgeClassifier(alpha=PENALTY * len(x), solver="cholesky"), squared, y, cv=folds, method="decision_function"
    )
    single = np.mean([_single_area(x[seen], y[seen], x[rest], y[rest]) for seen, rest in folds.split(x, y)])
    return float(max(roc_auc_score(y, told), single)), math.sqrt((2 * count + 1) / (12.0 * count * count))


def _single_area(seen: np.ndarray, seen_y: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the area of the one feature that tells best, chosen on some examples and judged on others."""
    ranks = rankdata(seen, axis=0)
    ones = int(seen_y.sum())
    areas = (ranks[seen_y == 1].sum(axis=0) - ones * (ones + 1) / 2) / (ones * (len(seen_y) - ones))
    best = int(np.argmax(np.abs(areas - 0.5)))
    return float(roc_auc_score(y, x[:, best] if areas[best] >= 0.5 else -x[:, best]))


def _twins(
    problem: Problem, train: _Sample, validation: _Sample, features: tuple[np.ndarray, np.ndarray]
) -> float | None:
    """Returns the share of validation examples with a twin in training: the same words, or inputs far too near."""
    if problem.vocabulary:
        known = set(train.contents)
        return float(np.mean([each in known for each in validation.contents]))
    if len(train.x) < 3 * NEIGHBOURS:
        return None
    index = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(features[0])
    apart = float(np.median(index.kneighbors()[0][:, 0]))
    if apart <= 0:  # Most training examples are equal to another one: twins say nothing here.
        return None
    nearest = index.kneighbors(features[1], n_neighbors=1)[0][:, 0]
    return float(np.mean(nearest < TWINS * apart))


def _references(
    problem: Problem, train: _Sample, validation: _Sample, features: tuple[np.ndarray, np.ndarray], codes: bool
) -> References:
    constant = baseline(problem, train.y, validation.y)
    if problem.task not in SIMPLE or len(train.x) < 2 * NEIGHBOURS or len(np.unique(train.y)) < 2:
        return References(constant=constant)
    y = train.y
    scores = {
        name: _reached(problem, method, features, y, validation.y) for name, method in _methods(problem, len(y)).items()
    }
    distance = _distance_of_mistakes(features, y.ravel(), validation.y.ravel()) if codes else None
    return References(constant=constant, **scores, codes=distance, ceiling=_ceiling(problem, train))


def _distance_of_mistakes(features: tuple[np.ndarray, np.ndarray], train_y: np.ndarray, y: np.ndarray) -> float | None:
    """Returns how far off wrong votes of the neighbours are, relative to votes for any wrong number; see References."""
    voted = KNeighborsClassifier(NEIGHBOURS).fit(features[0], train_y).predict(features[1])
    wrong = voted != y
    if wrong.sum() < MIN_MISTAKES:
        return None
    values = np.unique(train_y)
    random = [np.abs(values[values != true] - true).mean() for true in y[wrong]]
    return float(np.abs(voted - y)[wrong].sum() / np.sum(random))


def _methods(problem: Problem, count: int) -> dict[str, object]:
    if problem.task == "classification":
        linear, neighbours = RidgeClassifier(alpha=PENALTY * count / 100), KNeighborsClassifier(NEIGHBOURS)
    else:
        linear, neighbours = Ridge(alpha=PENALTY * count / 100), KNeighborsRegressor(NEIGHBOURS)
    return {"linear": linear, "neighbours": neighbours}


def _reached(
    problem: Problem, method: object, features: tuple[np.ndarray, np.ndarray], train_y: np.ndarray, y: np.ndarray
) -> float:
    """Returns the score of a method on the validation split."""
    told = method.fit(features[0], train_y).predict(features[1])  # type: ignore[attr-defined]
    if problem.task == "classification":
        return float(np.mean(told == y))  # `score` would need a column of each class.
    return score(problem, np.asarray(told, np.float64).reshape(len(told), -1), y)


def _ceiling(problem: Problem, train: _Sample) -> float | None:
    """Returns the best accuracy that is possible where inputs repeat; None when less than a tenth of them do."""
    if problem.task != "classification":
        return None
    labels: dict[bytes, list[int]] = {}
    for content, label in zip(train.contents, train.y, strict=True):
        labels.setdefault(content, []).append(int(label))
    repeated = [each for each in labels.values() if len(each) > 1]
    count = sum(len(each) for each in repeated)
    if count < len(train.x) / 10:
        return None
    return sum(int(np.bincount(each).max()) for each in repeated) / count
