"""The metric that decides, computed from outputs alone: one arithmetic for Keras, TFLite and every other runtime."""

from __future__ import annotations

import numpy as np

from tfday7.data.dataset import Problem


def score(problem: Problem, outputs: np.ndarray, y: np.ndarray) -> float:
    """Returns accuracy or R², higher is better.

    Args:
        problem: decides which metric.
        outputs: [n, classes] scores or [n, outputs] values.
        y: int64 [n] or float32 [n, outputs].

    R² is averaged over the outputs; it is 1 - (sum of squared errors) / (sum of squares around the mean of `y`).
    Where `y` is constant it is 1 for exact outputs and 0 for all others, as in scikit-learn.
    """
    if problem.task == "classification":
        return float(np.mean(np.argmax(outputs, axis=-1) == y))
    outputs, y = outputs.astype(np.float64), y.astype(np.float64)
    residual = np.sum((y - outputs) ** 2, axis=0)
    total = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    explained = 1.0 - residual / np.where(total > 0, total, 1.0)
    return float(np.mean(np.where(total > 0, explained, residual == 0)))


def baseline(problem: Problem, train_y: np.ndarray, y: np.ndarray) -> float:
    """Returns the score of a model that always says the most common class, or the mean, of the training split."""
    if problem.task == "classification":
        return float(np.mean(y == np.bincount(train_y).argmax()))
    return score(problem, np.broadcast_to(train_y.mean(axis=0), y.shape), y)
