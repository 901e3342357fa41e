"""Which examples calibrate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.data.dataset import Examples
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting.calibration import calibration_examples
from tfday7.exporting.options import QuantizationOptions
from tfday7.models import ModelConfig, building


def test_calibration_takes_training_examples_and_where_they_are_few_validation_examples(pictures: Dataset) -> None:
    model = building.build(ModelConfig(model="linear"), pictures.problem)
    chosen = {row.tobytes() for row in calibration_examples(pictures, model)}
    assert chosen == {row.tobytes() for part in (pictures.train, pictures.validation) for row in part.x}
    assert not chosen & {row.tobytes() for row in pictures.test.x}
    x = np.random.default_rng(0).normal(size=(900, 2))
    many = prepare(Raw(x, np.arange(900) % 2), "many")
    chosen = {
        row.tobytes() for row in calibration_examples(many, building.build(ModelConfig(model="linear"), many.problem))
    }
    assert len(chosen) == 500
    assert chosen <= {row.tobytes() for row in many.train.x}


def test_calibration_has_the_examples_on_which_outputs_are_extreme_and_is_always_the_same() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 2))
    dataset = prepare(Raw(x, x @ np.array([[1.0, 0.0], [3.0, -4.0]])), "plane")
    model = building.build(ModelConfig(model="linear"), dataset.problem)
    chosen = calibration_examples(dataset, model)
    assert len(chosen) == len(np.unique(chosen, axis=0)) == 500
    outputs, every = model.predict(chosen, verbose=0), model.predict(dataset.train.x, verbose=0)
    np.testing.assert_allclose(outputs.min(axis=0), every.min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(outputs.max(axis=0), every.max(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(calibration_examples(dataset, model), chosen)


def test_calibration_has_rare_classes_as_often_as_common_ones() -> None:
    generator = np.random.default_rng(0)
    y = (np.arange(4000) % 20 == 0).astype(int)  # One in twenty.
    dataset = prepare(Raw(generator.normal(size=(4000, 2)), y), "rare")
    model = building.build(ModelConfig(model="linear"), dataset.problem)
    chosen = calibration_examples(dataset, model, 200)
    labels = {row.tobytes(): label for row, label in zip(dataset.train.x, dataset.train.y, strict=True)}
    assert np.bincount([labels[row.tobytes()] for row in chosen]).tolist() == [100, 100]
    some = calibration_examples(dataset, model, 500)
    rare = int(np.sum(dataset.train.y))
    assert rare < 250
    assert np.bincount([labels[row.tobytes()] for row in some]).tolist() == [500 - rare, rare]


def test_the_seed_decides_which_examples_are_drawn() -> None:
    x = np.random.default_rng(0).normal(size=(900, 2))
    dataset = prepare(Raw(x, np.arange(900) % 2), "many")
    model = building.build(ModelConfig(model="linear"), dataset.problem)
    first, again, other = (calibration_examples(dataset, model, 100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) == len(other) == 100
    assert {row.tobytes() for row in first} != {row.tobytes() for row in other}


def test_calibration_data_that_is_empty_or_of_another_shape_is_the_users_error(blobs: Dataset) -> None:
    model = building.build(ModelConfig(model="linear"), blobs.problem)
    empty = dataclasses.replace(blobs, train=Examples(blobs.train.x[:0], blobs.train.y[:0]))
    with pytest.raises(UserError, match="no training examples to calibrate with"):
        calibration_examples(empty, model)
    wide = dataclasses.replace(blobs, train=Examples(np.zeros((9, 3), np.float32), np.zeros(9, np.int64)))
    with pytest.raises(UserError, match=r"have the shape \(3,\); the model takes \(2,\)"):
        calibration_examples(wide, model)
    with pytest.raises(UserError, match="calibration_examples=501: expected 1 to 500"):
        QuantizationOptions(calibration_examples=501)
