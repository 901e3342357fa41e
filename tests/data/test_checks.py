"""What must hold of every source's arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data.checks import MAX_CLASSES, check_alike, check_arrays, check_labels, decide_task
from tfday7.data.loading import prepare
from tfday7.data.source import Raw

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (np.zeros(6), Y, r"inputs have the shape \(6,\)"),
        (np.zeros((0, 2)), Y[:0], "there is nothing to learn from"),
        (np.zeros((6, 0)), Y, "there is nothing to learn from"),
        (X, Y[:5], r"6 inputs but labels of shape \(5,\)"),
        (X, np.array(3), r"6 inputs but labels of shape \(\)"),
        (X, np.zeros((6, 0)), r"labels of shape \(6, 0\)"),
        (X.astype(str), Y, "inputs are of type <U"),
        (X.astype(complex), Y, "inputs are of type complex128"),
        (X.astype(object), Y, "inputs are of type object"),
        (X, Y.astype(object), "labels are of type object"),
        (X, Y.astype("datetime64[s]"), "labels are of type datetime64"),
        (X, np.zeros((6, 2, 2)), r"labels have the shape \(6, 2, 2\)"),
    ],
)
def test_arrays_that_are_no_examples_are_refused_with_what_they_are(
    x: np.ndarray, y: np.ndarray, expected: str
) -> None:
    with pytest.raises(UserError, match=f"^validation: .*{expected}"):
        check_arrays("validation", x, y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e39])
def test_numbers_that_float32_cannot_hold_are_refused_with_their_place(value: float) -> None:
    x = X.copy()
    x[4, 1] = x[5, 0] = value
    with pytest.raises(UserError, match=r"test: inputs of example 4 hold NaN.*\(2 values in all\)"):
        check_arrays("test", x, Y)
    y = Y.astype(float)
    y[3] = value
    with pytest.raises(UserError, match="test: labels of example 3 hold NaN"):
        check_arrays("test", X, y)


def test_the_largest_float32_is_a_number() -> None:
    check_arrays("train", np.full((2, 2), np.finfo(np.float32).max, np.float64), Y[:2])


def test_a_column_of_labels_is_flattened_and_bytes_are_words() -> None:
    assert check_arrays("train", X, Y[:, np.newaxis])[1].shape == (6,)
    words = check_arrays("train", X, np.array([b"a", "ü".encode(), b"\xff"] * 2))[1]
    assert words.tolist() == ["a", "ü", "\\xff"] * 2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array(["a", "b"] * 50), "classification"),
        (np.arange(100) % 10, "classification"),
        (np.array([True, False] * 50), "classification"),
        (np.arange(20), "classification"),  # At most 20 values may be classes however seldom they repeat.
        (np.arange(100), "regression"),  # As ages in days.
        (np.arange(1000) % 200, "classification"),  # 200 values are a fifth of 1,000.
        (np.arange(1000) % 201, "regression"),
        (np.arange(100) / 2, "regression"),
        (np.arange(100.0), "regression"),
        (np.zeros((100, 2)), "regression"),
    ],
)
def test_the_task_follows_the_labels(labels: np.ndarray, expected: str) -> None:
    assert decide_task("auto", labels) == expected


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("regression", np.array(["a", "b"]), "the labels are words"),
        ("classification", np.zeros((4, 2)), r"labels have the shape \(4, 2\)"),
        ("classification", np.array([0.5, 1.0]), "fractional parts"),
        ("auto", np.array([["a", "b"], ["c", "d"]]), r"words in an array of shape \(2, 2\)"),
    ],
)
def test_labels_that_cannot_serve_the_task_are_refused(task: str, labels: np.ndarray, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        decide_task(task, labels)


def test_a_task_that_the_labels_allow_is_kept() -> None:
    assert decide_task("regression", Y) == "regression"
    assert decide_task("classification", np.arange(100.0)) == "classification"


def test_words_become_indices_in_sorted_order() -> None:
    train, test = np.array(["pear", "apple", "fig", "apple"]), np.array(["fig", "pear"])
    parts, names = check_labels({"train": (X[:4], train), "test": (X[:2], test)}, ())
    assert names == ("apple", "fig", "pear")
    assert parts["train"][1].tolist() == [2, 0, 1, 0]
    assert parts["test"][1].tolist() == [1, 2]


def test_whole_numbers_are_indices_and_name_themselves() -> None:
    parts, names = check_labels({"train": (X[:3], np.array([0.0, 3.0, 1.0]))}, ())
    assert names == ("0", "1", "2", "3")
    assert parts["train"][1].dtype == np.int64


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([0, 1, -1], [0], "train: example 2 has label -1; expected 0 to 1"),
        ([0, 1, 2], [0, 5], "test: example 1 has label 5; expected 0 to 2"),
        ([0, MAX_CLASSES, 0], [0], r"label 100000 would mean 100,001 classes"),
        ([1, 1, 1], [1], "all training examples have the same label"),
        (["a", "a", "a"], ["a"], "all training examples have the same label"),
        (["a", "b", "b"], ["b", "z"], "test: example 1 has the label 'z', which no training example has"),
        ([0, 1, 1], [0.5, 1.0], "test: labels have fractional parts"),
    ],
)
def test_labels_outside_of_the_range_are_refused_with_their_place(
    train: list[object], test: list[object], expected: str
) -> None:
    parts = {"train": (X[:3], np.array(train)), "test": (X[: len(test)], np.array(test))}
    with pytest.raises(UserError, match=expected):
        check_labels(parts, ())


def test_class_names_bound_the_labels() -> None:
    with pytest.raises(UserError, match="example 2 has label 2; expected 0 to 1"):
        check_labels({"train": (X[:3], Y[:3])}, ("no", "yes"))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (np.zeros((3, 5)), Y[:3], r"validation: inputs of one example have the shape \(5,\); expected \(2,\)"),
        (X[:3], np.zeros((3, 2)), r"validation: labels of one example have the shape \(2,\); expected \(\)"),
        (X[:3], np.array(["a", "b", "c"]), "validation: labels are words"),
        (X[:3].astype(np.uint8), Y[:3], "validation: inputs are of type uint8, but float64"),
    ],
)
def test_splits_that_do_not_fit_together_are_refused(x: np.ndarray, y: np.ndarray, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_alike({"train": (X, Y), "validation": (x, y)})


def test_splits_of_other_number_types_fit_together() -> None:
    check_alike({"train": (X, Y), "test": (X[:2].astype(np.float32), Y[:2].astype(np.int8))})


def test_one_hot_labels_are_class_indices_unless_regression_is_asked_for() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    labels = np.arange(60) % 3
    raw = Raw(x, np.eye(3)[labels])
    dataset = prepare(raw, "one hot")
    assert dataset.problem.task == "classification"
    assert dataset.problem.outputs == 3
    plain = prepare(Raw(x, labels), "indices")
    np.testing.assert_array_equal(dataset.train.y, plain.train.y)
    assert prepare(raw, "values", "regression").problem.task == "regression"
    several = np.eye(3)[labels]
    several[0] = 1.0
    assert prepare(Raw(x, several), "multi").problem.task == "multilabel"


SETS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]])


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float64, np.uint8])
def test_columns_of_0_and_1_are_labels_of_which_an_example_may_have_several(dtype: type) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    dataset = prepare(Raw(x, np.tile(SETS, (10, 1)).astype(dtype), class_names=("cat", "dog", "sofa")), "sets")
    assert (dataset.problem.task, dataset.problem.outputs) == ("multilabel", 3)
    assert dataset.problem.class_names == ("cat", "dog", "sofa")
    assert dataset.problem.metric == "f1_score"
    assert dataset.train.y.dtype == np.float32
    whole = np.concatenate([part.y for part in (dataset.train, dataset.validation, dataset.test)])
    np.testing.assert_array_equal(np.sort(whole.sum(axis=0)), np.sort(SETS.sum(axis=0) * 10))


def test_one_hot_labels_stay_labels_where_several_are_asked_for() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    problem = prepare(Raw(x, np.eye(3)[np.arange(60) % 3]), "sets", "multilabel").problem
    assert (problem.task, problem.class_names) == ("multilabel", ("0", "1", "2"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda y: y[:, 0], r"--task=multilabel but labels have the shape \(60,\)"),
        (
            lambda y: np.where(np.arange(60)[:, np.newaxis] == 7, 2, y),
            "train: example 7 has 2 for label 0; expec",
        ),
        (lambda y: y * 0.5, "train: example 0 has 0.5 for label 1"),
        (lambda y: y * 0, "no training example has any label"),
        (lambda y: np.array(["no", "yes"])[y], "example 0 has no for label 0"),
        (lambda y: y[:, :2], "3 label names, but the labels have 2 columns"),
    ],
)
def test_labels_other_than_0_and_1_are_refused(change: Callable[[np.ndarray], np.ndarray], expected: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(UserError, match=expected):
        prepare(Raw(x, change(np.tile(SETS, (10, 1))), class_names=("a", "b", "c")), "sets", "multilabel")


def test_a_later_split_with_another_number_than_0_and_1_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = np.tile(SETS, (10, 1))
    test = SETS.copy()
    test[4, 2] = 3
    with pytest.raises(UserError, match="test: example 4 has 3 for label 2"):
        prepare(Raw(x, y, test=(x[:6] + 1, test)), "sets")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(60) % 3 * 1.0, "classification"),  # Class indices that were saved as floats.
        (np.arange(60) % 3 + 1.0, "regression"),  # 1 to 3: a rating as well as a class.
        (np.arange(60) * 1.0, "regression"),
        (np.arange(60) % 3 * 0.5, "regression"),
    ],
)
def test_floats_are_classes_only_when_they_are_indices_many_times_over(labels: np.ndarray, expected: str) -> None:
    assert decide_task("auto", labels) == expected
