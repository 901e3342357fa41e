"""Batches whose order is a pure function of seed and epoch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import Examples, Problem
from tfday7.data.augmentation import augmenter
from tfday7.data.lazy import LazyInputs, Mapped, Subset
from tfday7.data.pipeline import (
    MAX_EVALUATION_BATCH_SIZE,
    evaluation_batch_size,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
    user_errors,
)

N, BATCH = 103, 10
STEPS = 11  # ceil(103 / 10)
NUMBERED = Examples(np.arange(N, dtype=np.float32)[:, np.newaxis], np.arange(N) * 7)
IMAGES = Examples(np.random.default_rng(0).uniform(size=(N, 8, 8, 1)).astype(np.float32), np.arange(N))

IMAGE_PROBLEM = Problem("classification", "image", (8, 8, 1), N)


def _take(
    count: int,
    examples: Examples = NUMBERED,
    batch_size: int = BATCH,
    seed: int = 0,
    augment: tuple[str, ...] = (),
    **where: object,
) -> list:
    problem = Problem("classification", "image", examples.x.shape[1:], N)
    batches = training_batches(examples, batch_size, seed, change=augmenter(augment, problem, seed=9), **where)
    return [(x.numpy(), y.numpy()) for x, y in itertools.islice(batches, count)]


def _orders(epochs: int, **where: object) -> list[list[float]]:
    batches = _take(epochs * STEPS, **where)
    return [
        np.concatenate([x[:, 0] for x, _ in batches[epoch * STEPS : (epoch + 1) * STEPS]]).tolist()
        for epoch in range(epochs)
    ]


def test_every_epoch_is_a_permutation_and_none_is_like_another() -> None:
    orders = _orders(4)
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert all(a != b for a, b in itertools.combinations(orders, 2))
    assert list(range(N)) not in orders


def test_the_order_is_that_of_the_seed() -> None:
    assert _orders(2, seed=5) == _orders(2, seed=5)
    assert _orders(1, seed=5) != _orders(1, seed=6)


def test_every_example_comes_first_equally_often() -> None:
    small = Examples(np.arange(5, dtype=np.float32)[:, np.newaxis], np.arange(5))
    firsts = [int(x[0, 0]) for x, _ in _take(1000, small, batch_size=5)]
    counts = np.bincount(firsts, minlength=5)
    assert float(np.sum((counts - 200.0) ** 2 / 200.0)) < 18.5  # Chi-square with 4 degrees of freedom, 0.1% level.


def test_labels_stay_with_their_inputs() -> None:
    for x, y in _take(2 * STEPS):
        np.testing.assert_array_equal(x[:, 0] * 7, y)


def test_the_last_batch_holds_what_is_left() -> None:
    assert steps_per_epoch(NUMBERED, BATCH) == STEPS
    assert [len(y) for _, y in _take(2 * STEPS)] == ([10] * 10 + [3]) * 2


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 103), (102, 2), (103, 1), (500, 1)])
def test_steps_cover_the_examples(batch_size: int, steps: int) -> None:
    assert steps_per_epoch(NUMBERED, batch_size) == steps
    sizes = [len(y) for _, y in _take(steps, batch_size=batch_size)]
    assert (len(sizes), sum(sizes)) == (steps, N)


@pytest.mark.parametrize("augment", [(), ("flip", "shift", "noise")])
@pytest.mark.parametrize(("epoch", "step"), [(0, 4), (1, 0), (1, 10), (2, 7), (1, 11)])
def test_a_resumed_run_sees_the_same_rest_bit_for_bit(epoch: int, step: int, augment: tuple[str, ...]) -> None:
    whole = _take(4 * STEPS, IMAGES, augment=augment)[epoch * STEPS + step :]
    rest = _take(len(whole), IMAGES, first_epoch=epoch, first_step=step, augment=augment)
    for (x, y), (resumed_x, resumed_y) in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(x, resumed_x)
        np.testing.assert_array_equal(y, resumed_y)


def test_augmentation_changes_inputs_and_neither_labels_nor_order() -> None:
    for (x, y), (changed_x, changed_y) in zip(
        _take(STEPS, IMAGES), _take(STEPS, IMAGES, augment=("noise",)), strict=True
    ):
        np.testing.assert_array_equal(y, changed_y)
        assert 0.0 < np.abs(changed_x - x).max() < 0.6  # Six standard deviations.
        assert not np.array_equal(changed_x[0] - x[0], changed_x[1] - x[1])


def test_every_step_draws_its_own_augmentation() -> None:
    constant = Examples(np.zeros((20, 4), np.float32), np.zeros(20, np.int64))
    first, second, third, *_ = (x for x, _ in _take(4, constant, augment=("noise",)))
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


@pytest.mark.parametrize(
    "n", [1, MAX_EVALUATION_BATCH_SIZE - 1, MAX_EVALUATION_BATCH_SIZE, MAX_EVALUATION_BATCH_SIZE + 1, 2500]
)
def test_evaluation_goes_over_all_examples_in_order(n: int) -> None:
    examples = Examples(np.arange(n, dtype=np.float32)[:, np.newaxis], np.arange(n))
    batches = evaluation_batches(examples)
    for _ in range(2):  # Each pass is the same.
        seen = [(x.numpy(), y.numpy()) for x, y in batches]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in seen]), examples.x)
        np.testing.assert_array_equal(np.concatenate([y for _, y in seen]), examples.y)
        assert max(len(y) for _, y in seen) <= MAX_EVALUATION_BATCH_SIZE


def test_shapes_are_known_so_that_models_can_be_traced_once() -> None:
    (x, y), (val_x, val_y) = (
        training_batches(IMAGES, BATCH, 0, change=augmenter(("shift",), IMAGE_PROBLEM, 9)).element_spec,
        evaluation_batches(IMAGES).element_spec,
    )
    assert x.shape.as_list() == val_x.shape.as_list() == [None, 8, 8, 1]
    assert y.shape.rank == val_y.shape.rank == 1


def test_who_lets_go_of_an_iterator_waits_for_no_tuner() -> None:
    """TensorFlow's tuner looks ever less often, in the end once a minute, and some iterators wait for its next look."""
    lazy = Examples(Mapped(IMAGES.x), IMAGES.y)
    made = [training_batches(IMAGES, BATCH, 0), training_batches(lazy, BATCH, 0)]
    made += [evaluation_batches(IMAGES), evaluation_batches(lazy), evaluation_batches(IMAGES).map(lambda x, y: x)]
    assert [batches.options().autotune.enabled for batches in made] == [False] * len(made)


def test_lazy_inputs_give_the_same_batches_as_the_array_that_they_read() -> None:
    order = np.random.default_rng(1).permutation(N)
    lazy = Examples(Subset(Mapped(IMAGES.x[np.argsort(order)]), order), IMAGES.y)
    for (x, y), (lazy_x, lazy_y) in zip(_take(2 * STEPS, IMAGES), _take(2 * STEPS, lazy), strict=True):
        np.testing.assert_array_equal(x, lazy_x)
        np.testing.assert_array_equal(y, lazy_y)
    assert training_batches(lazy, BATCH, 0).element_spec[0].shape.as_list() == [None, 8, 8, 1]
    held = np.concatenate([x.numpy() for x, _ in evaluation_batches(lazy)])
    np.testing.assert_array_equal(held, IMAGES.x)


@pytest.mark.parametrize(("side", "expected"), [(8, 1024), (224, 2**26 // (224 * 224 * 3 * 4)), (4096, 8)])
def test_large_examples_are_evaluated_in_small_batches(side: int, expected: int) -> None:
    x = np.broadcast_to(np.float32(0), (50, side, side, 3))
    assert evaluation_batch_size(Examples(x, np.zeros(50))) == expected


class Unreadable(Mapped):
    """Inputs one of which cannot be read any more."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        if 7 in indices:
            raise UserError("photos/7.png: it has changed and cannot be read any more")
        return super().read(indices)


@pytest.mark.parametrize("batches", [lambda part: training_batches(part, BATCH, 0).take(STEPS), evaluation_batches])
def test_an_example_that_cannot_be_read_any_more_is_the_users_error_with_its_name(batches: Any) -> None:
    part = Examples(Unreadable(IMAGES.x), IMAGES.y)
    with pytest.raises(UserError, match=r"^photos/7\.png: it has changed"), user_errors(part):
        list(batches(part))


class _Counted(LazyInputs):
    """Inputs that count how often each example is read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array.shape, array.dtype)
        self.array = array
        self.reads = np.zeros(len(array), int)

    def read(self, indices: np.ndarray) -> np.ndarray:
        np.add.at(self.reads, indices, 1)
        return self.array[indices]


def test_inputs_that_are_to_be_given_again_are_read_once() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    lazy = _Counted(x)
    seen = [(given.numpy(), wanted.numpy()) for given, wanted in evaluation_batches(Examples(lazy, lazy))]
    np.testing.assert_array_equal(np.concatenate([given for given, _ in seen]), x)
    np.testing.assert_array_equal(np.concatenate([wanted for _, wanted in seen]), x)
    assert lazy.reads.tolist() == [1] * 20


@pytest.mark.parametrize("lazy", [False, True])
def test_a_training_batch_to_be_given_again_is_its_own_target_after_every_change(lazy: bool) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    inputs = _Counted(x) if lazy else x
    problem = Problem(
        "reconstruction", "tabular", (3,), 3, feature_mean=np.zeros(3, np.float32), feature_std=np.ones(3, np.float32)
    )
    change = augmenter(["noise"], problem, 0)
    for given, wanted in training_batches(Examples(inputs, inputs), 8, 0, change=change).take(3):
        np.testing.assert_array_equal(given, wanted)
        assert not np.isin(given.numpy(), x).any()
    seen = [pair for pair in evaluation_batches(Examples(inputs, inputs))]
    np.testing.assert_array_equal(np.concatenate([wanted for _, wanted in seen]), x)
