"""The deciding metric agrees with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, r2_score

from tfday7.data import Problem
from tfday7.data.scoring import baseline, score

CLASSES = Problem("classification", "tabular", (2,), 4)
VALUES = Problem("regression", "tabular", (2,), 3)
_numbers = st.floats(-1e3, 1e3, width=32)


@given(hnp.arrays(np.float32, (20, 4), elements=_numbers), hnp.arrays(np.int64, 20, elements=st.integers(0, 3)))
def test_accuracy_is_scikit_learns(outputs: np.ndarray, y: np.ndarray) -> None:
    assert score(CLASSES, outputs, y) == pytest.approx(accuracy_score(y, outputs.argmax(axis=1)))


@given(hnp.arrays(np.float32, (20, 3), elements=_numbers), hnp.arrays(np.float32, (20, 3), elements=_numbers))
def test_r2_is_scikit_learns_averaged_over_the_outputs(outputs: np.ndarray, y: np.ndarray) -> None:
    expected = r2_score(y.astype(np.float64), outputs.astype(np.float64))
    assert score(VALUES, outputs, y) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_r2_of_a_constant_target_is_1_for_exact_and_0_for_other_outputs() -> None:
    y = np.full((9, 3), 5.0, np.float32)
    outputs = y.copy()
    assert score(VALUES, outputs, y) == r2_score(y, outputs) == 1.0
    outputs[:, 1] += 100.0
    assert score(VALUES, outputs, y) == pytest.approx(r2_score(y, outputs)) == pytest.approx(2 / 3)


def test_perfect_and_mean_outputs_are_1_and_0() -> None:
    y = np.random.default_rng(0).normal(50, 3, (100, 3)).astype(np.float32)
    assert score(VALUES, y, y) == 1.0
    means = np.broadcast_to(y.mean(axis=0, dtype=np.float64), y.shape)
    assert score(VALUES, means, y) == pytest.approx(0.0, abs=1e-9)


def test_the_baseline_is_scikit_learns_dummy() -> None:
    generator = np.random.default_rng(0)
    nothing = np.zeros((400, 1))
    train, y = generator.choice(4, 400, p=[0.1, 0.5, 0.2, 0.2]), generator.choice(4, 400)
    dummy = DummyClassifier(strategy="most_frequent").fit(nothing, train)
    assert baseline(CLASSES, train, y) == pytest.approx(dummy.score(nothing, y))
    train, y = (generator.normal(7, 2, (400, 3)).astype(np.float32) for _ in range(2))
    dummy = DummyRegressor().fit(nothing, train)
    assert baseline(VALUES, train, y) == pytest.approx(dummy.score(nothing, y), abs=1e-6)
