"""Targets of different kinds for one model: a price and a city, say. Each is a head, with a task of its own.

All heads share one array of targets and one tensor of outputs, side by side, so that whatever moves, shuffles, exports
or runs either of them need not know. A head is a `Problem`: what holds of a single target holds of its columns. Classes
are one-hot there, as many columns as classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.checks import check_arrays, check_labels, decide_task
from tfday7.data.dataset import Problem
from tfday7.data.lazy import Inputs

SEVERAL = "several"
# Of the one-hot columns of one target: 2 GiB, of which encoding, joining and splitting hold three at once.
MAX_VALUES = 2**29


def encode(x: Inputs, targets: Mapping[str, np.ndarray], task: str) -> tuple[np.ndarray, tuple[Problem, ...]]:
    """Returns the targets side by side, float32 [n, columns], and the head of each, as yet without its moments.

    Args:
        x: the inputs.
        targets: by name, [n] each.
        task: as in `prepare`; anything but "auto" holds for each target.

    Raises:
        UserError: a target that cannot be learned; it is named.
    """
    columns, heads = [], []
    for name, y in targets.items():
        try:
            encoded, classes, chosen = _encode_one(x, y, task)
        except UserError as error:
            raise UserError(f"target {name!r}: {error.message}", error.hint) from error
        columns.append(encoded)
        heads.append(Problem(chosen, "array", (), encoded.shape[1], classes, name=name))
    return np.concatenate(columns, axis=1), tuple(heads)


def _encode_one(x: Inputs, y: np.ndarray, task: str) -> tuple[np.ndarray, tuple[str, ...], str]:
    given = {"train": check_arrays("train", x, y)}
    task = decide_task(task, given["train"][1])
    if task == "regression":
        return given["train"][1].astype(np.float32)[:, np.newaxis], (), task
    labelled, classes = check_labels(given, ())
    return _one_hot(labelled["train"][1], len(classes)), classes, task


def _one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    if len(y) * classes > MAX_VALUES:
        raise UserError(
            f"{len(y):,} examples of {classes:,} classes are {4 * len(y) * classes / 2**30:,.1f} GiB, as beside other "
            "targets every class is a column",
            "number the classes from 0 without gaps, join rare ones, or learn this target alone",
        )
    columns = np.zeros((len(y), classes), np.float32)
    columns[np.arange(len(y)), y] = 1.0
    return columns


def with_moments(
    heads: tuple[Problem, ...], mean: np.ndarray, std: np.ndarray
) -> tuple[tuple[Problem, ...], np.ndarray, np.ndarray]:
    """Returns the heads with the moments of their own columns, and those of all columns: 0 and 1 where classes lie."""
    mean, std = mean.copy(), std.copy()
    found = []
    for head, columns in _placed(heads):
        if head.task == "regression":
            head = dataclasses.replace(head, target_mean=mean[columns], target_std=std[columns])
        else:
            mean[columns], std[columns] = 0.0, 1.0
        found.append(head)
    return tuple(found), mean, std


def placed(problem: Problem) -> list[tuple[Problem, slice]]:
    """Returns each head of a problem with its columns in outputs and targets."""
    return list(_placed(problem.heads))


def _placed(heads: tuple[Problem, ...]) -> Iterator[tuple[Problem, slice]]:
    start = 0
    for head in heads:
        yield head, slice(start, start + head.outputs)
        start += head.outputs


def own_targets(head: Problem, y: np.ndarray) -> np.ndarray:
    """Returns a head's columns of the targets as a problem of its own has them: int64 [n] classes, or values."""
    return y if head.task == "regression" else y.argmax(axis=1)
