"""Targets of different kinds: their columns, what is learned of each, and scores that are those of each alone."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from tfday7.core.errors import UserError
from tfday7.data import Dataset, heads
from tfday7.data.heads import encode, own_targets, placed
from tfday7.data.loading import prepare
from tfday7.data.scoring import baseline, head_scores, score
from tfday7.data.source import Raw

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(300, 3))
PRICE = 100 + 20 * X[:, 0]
CITY = np.array(["Rome", "Oslo", "Bonn"])[np.arange(300) % 3]
ROOMS = np.arange(300) % 2


@pytest.fixture(scope="module")
def homes() -> Dataset:
    return prepare(Raw(X, {"price": PRICE, "city": CITY, "rooms": ROOMS}), "homes")


def test_each_target_has_its_task_and_its_columns_in_the_order_given(homes: Dataset) -> None:
    problem = homes.problem
    assert (problem.task, problem.outputs, problem.metric) == ("several", 1 + 3 + 2, "mean_score")
    assert [(head.name, head.task, head.class_names, at.start, at.stop) for head, at in placed(problem)] == [
        ("price", "regression", (), 0, 1),
        ("city", "classification", ("Bonn", "Oslo", "Rome"), 1, 4),
        ("rooms", "classification", ("0", "1"), 4, 6),
    ]


def test_columns_are_values_and_one_hot_classes_that_go_with_their_inputs(homes: Dataset) -> None:
    for part in (homes.train, homes.validation, homes.test):
        rows = [int(np.flatnonzero((X.astype(np.float32) == x).all(axis=1))[0]) for x in part.x]
        np.testing.assert_allclose(part.y[:, 0], PRICE[rows], rtol=1e-6)
        assert [("Bonn", "Oslo", "Rome")[i] for i in part.y[:, 1:4].argmax(axis=1)] == CITY[rows].tolist()
        np.testing.assert_array_equal(part.y[:, 4:], np.eye(2)[ROOMS[rows]])


def test_values_are_standardized_by_their_training_split_and_logits_stay_as_they_are(homes: Dataset) -> None:
    problem, price = homes.problem, homes.train.y[:, 0]
    np.testing.assert_allclose(problem.target_mean, [price.mean(), 0, 0, 0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(problem.target_std, [price.std(), 1, 1, 1, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(problem.heads[0].target_std, [price.std()], rtol=1e-5)
    assert problem.heads[1].target_std is None


def test_the_score_is_the_mean_of_scikit_learns_for_each(homes: Dataset) -> None:
    y = homes.train.y
    outputs = y + np.random.default_rng(1).normal(scale=0.7, size=y.shape)
    r2 = r2_score(y[:, 0], outputs[:, 0])
    city = accuracy_score(y[:, 1:4].argmax(axis=1), outputs[:, 1:4].argmax(axis=1))
    rooms = accuracy_score(y[:, 4:].argmax(axis=1), outputs[:, 4:].argmax(axis=1))
    found = head_scores(homes.problem, outputs, y)
    assert found == pytest.approx({"price": r2, "city": city, "rooms": rooms}, abs=1e-6)
    assert score(homes.problem, outputs, y) == pytest.approx((r2 + city + rooms) / 3, abs=1e-6)


def test_each_target_scores_and_guesses_as_if_it_were_alone(homes: Dataset) -> None:
    alone = [prepare(Raw(X, y), "alone") for y in (PRICE, CITY, ROOMS)]
    for (head, columns), single in zip(placed(homes.problem), alone, strict=True):
        mine, theirs = own_targets(head, homes.train.y[:, columns]), single.train.y
        np.testing.assert_array_equal(mine, theirs)
        assert (head.task, head.outputs, head.class_names) == (
            single.problem.task,
            single.problem.outputs,
            single.problem.class_names,
        )
    expected = np.mean([baseline(single.problem, single.train.y, single.train.y) for single in alone])
    assert baseline(homes.problem, homes.train.y, homes.train.y) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("targets", "task", "expected"),
    [
        ({"price": PRICE, "city": CITY}, "regression", "target 'city': --task=regression but the labels are words"),
        ({"price": PRICE, "city": CITY}, "classification", "target 'price': .* fractional parts"),
        ({"price": PRICE, "city": np.full(300, "Rome")}, "auto", "target 'city': all training examples have the same"),
        (
            {"price": np.where(X[:, 0] > 2, np.nan, PRICE), "city": CITY},
            "auto",
            "target 'price': train: labels of ex",
        ),
    ],
)
def test_a_target_that_cannot_be_learned_is_named(targets: dict[str, np.ndarray], task: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        prepare(Raw(X, targets), "homes", task)


def test_classes_need_no_more_memory_than_their_columns() -> None:
    zip_codes = np.array([2139, 29_999])[ROOMS]
    tracemalloc.start()
    columns, (_, head) = encode(X, {"price": PRICE, "zip": zip_codes}, "auto")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert head.outputs == 30_000
    np.testing.assert_array_equal(columns[:, 1:].argmax(axis=1), zip_codes)
    assert columns[:, 1:].sum() == len(X)
    assert peak < 3 * columns.nbytes


def test_too_many_columns_for_memory_are_refused_by_the_name_of_their_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MAX_VALUES", 300 * 99)
    encode(X, {"price": PRICE, "zip": np.array([21, 98])[ROOMS]}, "auto")
    with pytest.raises(UserError, match=r"target 'zip': 300 examples of 100 classes are .* GiB") as caught:
        encode(X, {"price": PRICE, "zip": np.array([21, 99])[ROOMS]}, "auto")
    assert "without gaps" in (caught.value.hint or "")


def test_the_fingerprint_knows_the_targets() -> None:
    def fingerprint(**targets: np.ndarray) -> str:
        return prepare(Raw(X, targets), "homes").fingerprint

    first = fingerprint(price=PRICE, city=CITY)
    assert first == fingerprint(price=PRICE, city=CITY)
    renamed = np.where(CITY == "Rome", "Roma", CITY)
    assert len({first, fingerprint(cost=PRICE, city=CITY), fingerprint(price=PRICE, city=renamed)}) == 3
