"""The deciding metric agrees with scikit-learn's."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, f1_score, r2_score

from tfday7.data import Problem
from tfday7.data.lazy import LazyInputs
from tfday7.data.scoring import baseline, micro_f1, score

CLASSES = Problem("classification", "tabular", (2,), 4)
MEAN, STD = np.array([5.0, -3.0], np.float32), np.array([10.0, 0.1], np.float32)
SERIES = Problem("reconstruction", "series", (6, 2), 12, target_mean=MEAN, target_std=STD)
LABELS = Problem("multilabel", "tabular", (2,), 4)
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


@given(hnp.arrays(np.float32, (20, 4), elements=_numbers), hnp.arrays(np.float32, (20, 4), elements=st.integers(0, 1)))
def test_micro_f1_is_scikit_learns_for_logits_and_probabilities(outputs: np.ndarray, y: np.ndarray) -> None:
    expected = f1_score(y, outputs > 0, average="micro", zero_division=0)
    assert score(LABELS, outputs, y, "logits") == pytest.approx(expected)
    probabilities = 0.5 + np.sign(outputs) * 0.3
    assert score(LABELS, probabilities, y, "probabilities") == pytest.approx(expected)


def test_f1_without_knowing_what_the_outputs_are_is_no_number() -> None:
    with pytest.raises(KeyError):
        score(LABELS, np.zeros((2, 4)), np.zeros((2, 4)))


@pytest.mark.parametrize("shares", [(0.9, 0.6, 0.3, 0.1), (0.1, 0.05, 0.02, 0.4), (0.2, 0.2, 0.2, 0.2)])
def test_the_baseline_of_several_labels_is_the_best_answer_that_never_changes(shares: tuple[float, ...]) -> None:
    y = (np.random.default_rng(0).uniform(size=(500, 4)) < shares).astype(np.float32)
    answers = (np.tile(np.array(answer), (500, 1)) for answer in itertools.product([False, True], repeat=4))
    assert baseline(LABELS, y, y) == pytest.approx(
        max(f1_score(y, a, average="micro", zero_division=0) for a in answers)
    )


def test_f1_where_no_label_applies_and_none_is_said_is_0_as_in_scikit_learn() -> None:
    assert micro_f1(np.zeros((3, 2), bool), np.zeros((3, 2))) == 0.0


def test_the_r2_of_a_reconstruction_is_scikit_learns_weighted_by_variance_in_deviations() -> None:
    generator = np.random.default_rng(0)
    x = (MEAN + STD * generator.normal(size=(3000, 6, 2))).astype(np.float32)
    outputs = (x + STD * generator.normal(scale=0.4, size=x.shape)).astype(np.float32)
    flat, flat_outputs = ((each / STD).reshape(3000, 12).astype(np.float64) for each in (x, outputs))
    expected = r2_score(flat, flat_outputs, multioutput="variance_weighted")
    assert score(SERIES, outputs, x) == pytest.approx(expected, abs=1e-5)
    assert score(SERIES, outputs, _Lazy(x)) == score(SERIES, outputs, x)
    assert score(SERIES, x, x) == 1.0
    assert baseline(SERIES, x, x) == pytest.approx(0.0, abs=1e-9)


def test_a_pixel_that_hardly_ever_changes_does_not_decide_a_reconstruction() -> None:
    x = np.random.default_rng(0).normal(size=(500, 6, 2)).astype(np.float32)
    x[:, 0] *= 1e-6
    problem = dataclasses.replace(SERIES, target_mean=np.zeros(2, np.float32), target_std=np.ones(2, np.float32))
    assert score(problem, np.round(x, 2), x) > 0.999


def test_a_reconstruction_of_what_never_changes_is_1_when_exact_and_0_otherwise() -> None:
    x = np.full((50, 6, 2), 0.1, np.float32)
    assert score(SERIES, x, x) == 1.0
    assert score(SERIES, x + 1, x) == 0.0


class _Lazy(LazyInputs):
    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array.shape, array.dtype)
        self.array = array

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.array[indices]
