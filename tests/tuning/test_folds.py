"""Folds: every training example validates once, what belongs together stays together, the test split is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.tuning.folds import fold


def _rows(x: object) -> list[bytes]:
    return sorted(np.asarray(row).tobytes() for row in np.asarray(x))


def test_every_training_example_validates_exactly_once(blobs: Dataset) -> None:
    parts = [fold(blobs, 4, index) for index in range(4)]
    validating = [row for part in parts for row in _rows(part.validation.x)]
    assert sorted(validating) == _rows(blobs.train.x)
    for part in parts:
        assert sorted(_rows(part.train.x) + _rows(part.validation.x)) == _rows(blobs.train.x)
        assert len(part.train.x) == len(part.train.y)
        assert part.test is blobs.test


def test_labels_go_with_their_examples(blobs: Dataset) -> None:
    label = dict(zip((row.tobytes() for row in np.asarray(blobs.train.x)), blobs.train.y, strict=True))
    part = fold(blobs, 3, 1)
    for x, y in zip(np.asarray(part.validation.x), part.validation.y, strict=True):
        assert label[x.tobytes()] == y


def test_equal_examples_are_never_on_two_sides(blobs: Dataset) -> None:
    twice = dataclasses.replace(
        blobs, train=dataclasses.replace(
            blobs.train, x=np.concatenate([blobs.train.x] * 2), y=np.concatenate([blobs.train.y] * 2)
        )
    )  # fmt: skip
    part = fold(twice, 5, 2)
    assert not set(_rows(part.train.x)) & set(_rows(part.validation.x))


def test_groups_stay_together() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    x = np.column_stack([groups, generator.normal(size=300)])
    dataset = prepare(Raw(x, np.arange(300) % 2, groups=groups), "grouped")
    assert dataset.groups is not None
    np.testing.assert_array_equal(dataset.groups, np.asarray(dataset.train.x)[:, 0])
    for index in range(3):
        part = fold(dataset, 3, index)
        assert not set(np.asarray(part.train.x)[:, 0]) & set(np.asarray(part.validation.x)[:, 0])


def test_more_folds_than_examples_are_refused(blobs: Dataset) -> None:
    with pytest.raises(UserError, match="--folds=100000: a part of the training split"):
        fold(blobs, 100_000, 0)
