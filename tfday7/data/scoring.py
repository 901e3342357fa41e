"""The metric that decides, computed from outputs alone: one arithmetic for Keras, TFLite and every other runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tfday7.data.dataset import Problem
from tfday7.data.heads import own_targets, placed
from tfday7.data.lazy import Inputs, chunks

# An output above it says that the label applies: both are a probability of one half.
THRESHOLDS = {"logits": 0.0, "probabilities": 0.5}


def score(problem: Problem, outputs: np.ndarray, y: Inputs, meaning: str = "") -> float:
    """Returns accuracy, micro-averaged F1 or R², higher is better; for several targets the mean over their own.

    Args:
        problem: decides which metric.
        outputs: [n, classes] scores, [n, labels], [n, outputs] values, or inputs again [n, ...].
        y: int64 [n], float32 [n, outputs], or the inputs [n, ...], lazy or not.
        meaning: "logits" or "probabilities"; needed for several labels an example, where it decides the threshold.

    F1 is over all decisions, example by label. R² is averaged over the outputs; it is 1 - (sum of squared errors) /
    (sum of squares around the mean of `y`). Where `y` is constant it is 1 for exact outputs and 0 for all others, as in
    scikit-learn. For inputs given again see `reconstruction_r2`.
    """
    if problem.task == "reconstruction":
        return reconstruction_r2(problem, _side_by_side(outputs, y))
    y = np.asarray(y[:])
    if problem.heads:
        return float(np.mean(list(head_scores(problem, outputs, y).values())))
    if problem.task == "classification":
        return float(np.mean(decisions(problem, outputs) == y))
    if problem.task == "multilabel":
        return micro_f1(decisions(problem, outputs, meaning), y)
    outputs, y = outputs.astype(np.float64), y.astype(np.float64)
    residual = np.sum((y - outputs) ** 2, axis=0)
    total = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    explained = 1.0 - residual / np.where(total > 0, total, 1.0)
    return float(np.mean(np.where(total > 0, explained, residual == 0)))


def head_scores(problem: Problem, outputs: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Returns the score of each of several targets by its name; arguments as of `score`."""
    return {
        head.name: score(head, outputs[:, columns], own_targets(head, y[:, columns]))
        for head, columns in placed(problem)
    }


def head_baselines(problem: Problem, train_y: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Returns the baseline of each of several targets by its name; arguments as of `baseline`."""
    return {
        head.name: baseline(head, *(own_targets(head, part[:, columns]) for part in (train_y, y)))
        for head, columns in placed(problem)
    }


def reconstruction_r2(problem: Problem, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Returns the share of the inputs' variance that outputs explain, each column or channel in units of its deviation.

    Args:
        problem: its `target_mean` and `target_std` give the units.
        parts: (outputs, inputs), both [part, ...]: the whole need not fit into memory.

    Every position of an input has a mean of its own to beat. It is scikit-learn's R² with "variance_weighted": averaged
    alike over positions, a pixel that is nearly always 0 would decide.
    """
    count, error, squares, sums = 0, 0.0, 0.0, np.zeros(problem.input_shape)
    mean, std = (np.asarray(each, np.float64) for each in (problem.target_mean, problem.target_std))
    for outputs, inputs in parts:
        given = (inputs - mean) / std
        error += float(np.sum(np.square((outputs - inputs.astype(np.float64)) / std)))
        squares += float(np.sum(np.square(given)))
        sums += given.sum(axis=0)
        count += len(given)
    total = squares - float(np.sum(np.square(sums))) / count
    if total <= 1e-12 * squares:  # What is left of a constant by rounding.
        return float(error == 0)
    return 1.0 - error / total


def _side_by_side(outputs: np.ndarray, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    start = 0
    for part in chunks(inputs):
        yield outputs[start : start + len(part)], part
        start += len(part)


def decisions(problem: Problem, outputs: np.ndarray, meaning: str = "") -> np.ndarray:
    """Returns what a classifier's outputs say: class indices [n], or for several labels an example bool [n, labels].

    Args:
        problem: a classification, of one or of several labels an example.
        outputs: [n, classes] or [n, labels].
        meaning: as of `score`.
    """
    if problem.task == "multilabel":
        return outputs > THRESHOLDS[meaning]
    return outputs.argmax(axis=-1)


def micro_f1(said: np.ndarray, y: np.ndarray) -> float:
    """Returns 2 x (labels rightly said) / (labels said + labels that apply); 0 when there are none of either.

    Args:
        said: bool [n, labels].
        y: 0 and 1, [n, labels].
    """
    applies = y > 0.5
    return float(2.0 * np.sum(said & applies) / max(1, int(said.sum()) + int(applies.sum())))


def baseline(problem: Problem, train_y: Inputs, y: Inputs) -> float:
    """Returns the score of the best model that always says the same: the training split's most common class, or mean.

    For several labels an example it says as many of the most common ones as is best for F1: saying only those that more
    than half of the examples have would score 0 where labels are rare, and any model would seem to have learned.
    """
    if problem.task == "reconstruction":
        mean = sum(part.sum(axis=0, dtype=np.float64) for part in chunks(train_y)) / len(train_y)
        return score(problem, np.broadcast_to(mean, y.shape), y)
    train_y, y = np.asarray(train_y[:]), np.asarray(y[:])
    if problem.heads:
        return float(np.mean(list(head_baselines(problem, train_y, y).values())))
    if problem.task == "classification":
        return float(np.mean(y == np.bincount(train_y).argmax()))
    if problem.task == "multilabel":
        return micro_f1(np.broadcast_to(_best_guess(train_y), y.shape), y)
    return score(problem, np.broadcast_to(train_y.mean(axis=0), y.shape), y)


def _best_guess(y: np.ndarray) -> np.ndarray:
    """Returns bool [labels]: which of them to say always. Of any number of labels the most common ones are best."""
    counts = y.sum(axis=0, dtype=np.float64)
    order = np.argsort(-counts, kind="stable")
    scores = 2.0 * np.cumsum(counts[order]) / (len(y) * np.arange(1, len(counts) + 1) + counts.sum())
    said = np.zeros(len(counts), bool)
    said[order[: scores.argmax() + 1]] = True
    return said
