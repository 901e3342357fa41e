"""The distances and the mixture against their formulas in NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.compression.distillation.losses import Columns, DistilledLoss, distance, labels_only
from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.training.objective import SmoothedCrossentropy

CLASSES = Problem("classification", "tabular", (4,), 3, ("a", "b", "c"))
LABELS = Problem("multilabel", "tabular", (4,), 3, ("a", "b", "c"))
VALUES = Problem("regression", "tabular", (4,), 2, target_mean=np.zeros(2, np.float32), target_std=np.float32([2, 5]))
PICTURES = Problem(
    "reconstruction", "array", (3, 2), 6, target_mean=np.zeros(2, np.float32), target_std=np.float32([1, 4])
)
RANDOM = np.random.default_rng(3)
TEACHER, STUDENT = RANDOM.normal(size=(2, 5, 3)).astype(np.float32) * 3


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_classes_are_as_far_apart_as_t_squared_times_the_divergence_of_their_softmax(temperature: float) -> None:
    p, q = softmax(TEACHER / temperature), softmax(STUDENT / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=-1)
    np.testing.assert_allclose(distance(CLASSES, TEACHER, STUDENT, "logits", temperature), expected, rtol=1e-4)


def test_the_gradient_is_temperature_times_the_difference_of_the_softened_probabilities() -> None:
    # Hinton et al., equation 2, times T².
    student = tf.Variable(STUDENT)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(distance(CLASSES, TEACHER, student, "logits", 4.0))
    expected = 4.0 * (softmax(STUDENT / 4.0) - softmax(TEACHER / 4.0))
    np.testing.assert_allclose(tape.gradient(loss, student), expected, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_labels_are_as_far_apart_as_the_mean_divergence_of_their_sigmoids(temperature: float) -> None:
    p, q = sigmoid(TEACHER / temperature), sigmoid(STUDENT / temperature)
    expected = temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(axis=-1)
    np.testing.assert_allclose(distance(LABELS, TEACHER, STUDENT, "logits", temperature), expected, rtol=1e-4)


@pytest.mark.parametrize(("problem", "probabilities"), [(CLASSES, softmax), (LABELS, sigmoid)])
def test_a_student_that_ends_in_probabilities_is_as_far_as_one_that_ends_in_logits(
    problem: Problem, probabilities: object
) -> None:
    likely = probabilities(STUDENT).astype(np.float32)  # type: ignore[operator]
    found = distance(problem, TEACHER, likely, "probabilities", 3.0)
    np.testing.assert_allclose(found, distance(problem, TEACHER, STUDENT, "logits", 3.0), rtol=1e-4)


def test_values_are_as_far_apart_as_their_squared_difference_in_deviations() -> None:
    found = distance(VALUES, np.float32([[1, 10]]), np.float32([[5, -5]]), "values", 4.0)
    np.testing.assert_allclose(found, [((4 / 2) ** 2 + (15 / 5) ** 2) / 2])


def test_inputs_given_again_are_compared_over_all_positions() -> None:
    ours, theirs = np.zeros((1, 3, 2), np.float32), np.zeros((1, 3, 2), np.float32)
    theirs[0, 1] = 2, 8
    found = distance(PICTURES, theirs, ours, "values", 1.0)
    np.testing.assert_allclose(found, [((2 / 1) ** 2 + (8 / 4) ** 2) / 6])


def test_several_targets_add_up_each_on_its_own_columns() -> None:
    heads = (dataclasses.replace(CLASSES, name="kind"), dataclasses.replace(VALUES, name="size"))
    both = Problem("several", "tabular", (4,), 5, heads=heads)
    values = RANDOM.normal(size=(2, 5, 2)).astype(np.float32)
    found = distance(both, np.hstack([TEACHER, values[0]]), np.hstack([STUDENT, values[1]]), "logits, values", 2.0)
    expected = distance(CLASSES, TEACHER, STUDENT, "logits", 2.0) + distance(VALUES, *values, "values", 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_mixture_has_alpha_of_the_answers_and_the_rest_of_the_labels_and_the_weight_of_the_example() -> None:
    labels, weights = np.float32([[0], [1], [2], [1], [0]]), np.float32([[1], [2], [0.5], [1], [3]])
    hard = -np.log(softmax(STUDENT)[np.arange(5), labels[:, 0].astype(int)])
    p, q = softmax(TEACHER / 2), softmax(STUDENT / 2)
    soft = 4 * (p * np.log(p / q)).sum(axis=-1)
    loss = DistilledLoss(
        CLASSES, SmoothedCrossentropy(3, 0.0, from_logits=True), "logits", Columns(1, weighted=True), 2.0, 0.75
    )
    found = loss.call(tf.constant(np.hstack([weights, labels, TEACHER])), tf.constant(STUDENT))
    np.testing.assert_allclose(found, weights[:, 0] * (0.25 * hard + 0.75 * soft), rtol=1e-4)


def test_a_metric_of_the_labels_does_not_see_the_answers() -> None:
    metric = labels_only(keras.metrics.SparseCategoricalAccuracy(), Columns(1, weighted=True))
    y = np.hstack([np.ones((5, 1)), STUDENT.argmax(axis=1)[:, np.newaxis], TEACHER]).astype(np.float32)
    y[0, 1] = (y[0, 1] + 1) % 3
    metric.update_state(tf.constant(y), tf.constant(STUDENT))
    assert float(metric.result()) == pytest.approx(4 / 5)
