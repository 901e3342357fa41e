"""The types that data takes: examples, the problem that they pose, and the three splits together."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfday7.data.lazy import Inputs
from tfday7.data.table import Encoding

METRICS = {
    "classification": "accuracy",
    "multilabel": "f1_score",
    "regression": "r2_score",
    "reconstruction": "r2_score",
    "several": "mean_score",
}


@dataclasses.dataclass(frozen=True)
class Examples:
    """Inputs and targets of one split.

    Attributes:
        x: float32 [n, ...input_shape], or int32 [n, length] token ids; an array, or read when asked for (`lazy`).
        y: int64 [n] class indices, float32 [n, outputs] values, or for several labels an example 0 and 1, float32
            [n, labels]; for several targets their columns, classes one-hot. For reconstruction `x` itself, the same
            object: a data set is never held or read twice.
    """

    x: Inputs
    y: Inputs

    def __len__(self) -> int:
        return len(self.x)


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a model has to fit: everything that an architecture may know about the data.

    Attributes:
        task: "classification", "multilabel" (an example has any number of the labels), "regression", or
            "reconstruction" (the inputs again) or "several" (targets of different kinds: `heads`).
        kind: "image" (height, width, channels), "series" (steps, channels), "tabular" (features), "text" (token ids) or
            "array" (any other rank).
        input_shape: the shape of one example, without the batch.
        outputs: number of classes, labels, or values to predict.
        class_names: one name a class or label; empty for regression.
        vocabulary: the word of each token id, for text; empty otherwise.
        feature_mean, feature_std: float32 of each column or channel of the training split, for tabular data and
            series; None otherwise.
        encoding: how the columns of a table become an example; None where the inputs are what the data holds.
        target_mean, target_std: float32 [outputs] of the training split, for regression; for reconstruction of each
            column or channel of the inputs; None otherwise. Where a head's classes lie, 0 and 1.
        name: of a head, the target's; empty otherwise.
        heads: for several targets the problem of each, in the order of their columns; see `data.heads`.
    """

    task: str
    kind: str
    input_shape: tuple[int, ...]
    outputs: int
    class_names: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    feature_mean: np.ndarray | None = None
    feature_std: np.ndarray | None = None
    target_mean: np.ndarray | None = None
    target_std: np.ndarray | None = None
    encoding: Encoding | None = None
    name: str = ""
    heads: tuple[Problem, ...] = ()

    @property
    def metric(self) -> str:
        """The metric that decides, higher is better: "accuracy", "f1_score" or "r2_score"."""
        return METRICS[self.task]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set ready for training.

    Attributes:
        name: what to call it in file names and reports.
        problem: what a model has to fit.
        train, validation, test: the splits. Test examples never train, calibrate or select.
        fingerprint: 16 hexadecimal digits over every array and class name; equal data, equal fingerprint.
        preprocessing: what was done to the raw values, for people who feed the exported model, for example
            "pixels / 255"; empty when nothing was done.
        dropped_duplicates: how many examples were dropped because they lie in a later split too.
        skipped: bad files that were left out because the user asked for it, as (file, reason).
        groups: [n] integers of the training split; examples of one group belong together. None where each stands alone.
    """

    name: str
    problem: Problem
    train: Examples
    validation: Examples
    test: Examples
    fingerprint: str
    preprocessing: str = ""
    dropped_duplicates: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    groups: np.ndarray | None = None
