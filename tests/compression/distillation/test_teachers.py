"""What teachers answer, alone and together, and which are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.compression.distillation.teachers import Teachers, mean
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.data.dataset import Dataset, Examples
from tfday7.data.lazy import Mapped


def classifier(seed: int, activation: str | None = None, inputs: int = 4, outputs: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(5, "relu"), keras.layers.Dense(outputs, activation)]
    return keras.Sequential([keras.Input((inputs,)), *layers], name=f"model_{seed}")


def test_one_teacher_that_ends_in_logits_answers_just_those(problem: Problem) -> None:
    x, teacher = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), classifier(1)
    np.testing.assert_allclose(Teachers([teacher], problem).answers(x), teacher(x), rtol=1e-6)


def test_several_teachers_answer_the_mean_of_their_probabilities(problem: Problem) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    models = [classifier(1), classifier(2, "softmax"), classifier(3)]
    found = keras.activations.softmax(Teachers(models, problem).answers(x))
    probabilities = [keras.activations.softmax(models[0](x)), models[1](x), keras.activations.softmax(models[2](x))]
    np.testing.assert_allclose(found, np.mean([np.asarray(each) for each in probabilities], axis=0), rtol=1e-5)


def test_the_mean_of_several_labels_is_that_of_each_labels_probability(problem: Problem) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    labels = dataclasses.replace(problem, task="multilabel")
    found = keras.activations.sigmoid(mean(labels, list(logits)))
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-logits))).mean(axis=0), rtol=1e-5)


def test_the_mean_of_values_is_their_mean(line: Dataset) -> None:
    assert mean(line.problem, [np.float32([[1.0]]), np.float32([[4.0]])]).numpy().tolist() == [[2.5]]


def test_the_same_teachers_are_asked_once_about_a_split(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask = [], Teachers._asked
    monkeypatch.setattr(Teachers, "_asked", lambda self, examples: asked.append(examples) or ask(self, examples))
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    teacher, examples = classifier(1), Examples(x, np.zeros(9, np.int64))
    first = Teachers([teacher], problem).answers_to(examples)
    again = Teachers([teacher], problem).answers_to(examples)
    assert again is first
    Teachers([teacher], problem).answers_to(Examples(x, np.zeros(9, np.int64)))
    Teachers([teacher, classifier(2)], problem).answers_to(examples)
    assert len(asked) == 3
    teacher.set_weights([2 * each for each in teacher.get_weights()])
    changed = Teachers([teacher], problem).answers_to(examples)
    assert len(asked) == 4
    np.testing.assert_allclose(changed, teacher(x), rtol=1e-5, atol=1e-6)


def test_lazy_inputs_are_answered_in_order(problem: Problem) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    teacher = classifier(1)
    examples = Examples(Mapped(x), np.zeros(50, np.int64))
    np.testing.assert_allclose(Teachers([teacher], problem).answers_to(examples), teacher(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: classifier(1, outputs=4), r"'model_1' gives outputs of shape \(4,\); the data needs \(3,\)"),
        (lambda: classifier(1, inputs=5), r"'model_1' takes inputs of shape \(5,\); the examples have \(4,\)"),
    ],
)
def test_a_teacher_of_another_question_is_refused(model: object, message: str, problem: Problem) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Teachers([model()], problem)  # type: ignore[operator]
    assert caught.value.hint


def test_without_a_teacher_there_is_nothing_to_learn(problem: Problem) -> None:
    with pytest.raises(UserError, match="no teacher"):
        Teachers([], problem)
