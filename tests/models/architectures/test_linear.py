"""The linear model against ridge regression, and the sizes that it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset, Problem
from tfday7.models import ModelConfig, building
from tfday7.training.objective import StandardizedSquaredError


def test_with_l2_it_learns_what_ridge_regression_solves(line: Dataset) -> None:
    l2 = 0.2
    model = building.build(ModelConfig(model="linear", l2=l2), line.problem)
    model.compile(keras.optimizers.SGD(0.3), StandardizedSquaredError(line.problem.target_std))
    model.fit(line.train.x, line.train.y, batch_size=len(line.train), epochs=100, verbose=0)
    x = (line.train.x - line.problem.feature_mean) / line.problem.feature_std
    y = (line.train.y - line.problem.target_mean) / line.problem.target_std
    # Keras averages the squared errors over the examples, Ridge adds them up.
    expected = Ridge(alpha=l2 * len(x)).fit(x, y)
    kernel, bias = model.get_layer("standardized_output").get_weights()
    np.testing.assert_allclose(kernel[:, 0], np.ravel(expected.coef_), atol=1e-4)
    np.testing.assert_allclose(bias, expected.intercept_, atol=1e-4)


def test_sizes_that_would_change_nothing_are_refused(problem: Problem) -> None:
    with pytest.raises(UserError, match="--depth=2: a linear model has one layer"):
        building.build(ModelConfig(model="linear", depth=2), problem)
    with pytest.raises(UserError, match="--width=3: a linear model has no units"):
        building.build(ModelConfig(model="linear", width=3), problem)
