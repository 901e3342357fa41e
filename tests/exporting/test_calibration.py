"""Which examples calibrate."""

from __future__ import annotations

import numpy as np

from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting.calibration import calibration_examples
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
