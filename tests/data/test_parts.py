"""The parts of the batches: each example once in an epoch, in the micro-batch that one device would have it in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core.frameworks import tf
from tfday7.data import Examples
from tfday7.data.pipeline import Parts, evaluation_batches, slice_bounds, steps_per_epoch, training_batches


@given(st.integers(0, 200), st.integers(1, 9))
def test_slices_cover_all_in_order_and_differ_by_one_at_most(size: int, count: int) -> None:
    bounds = [slice_bounds(number, count, size) for number in range(count)]
    assert [position for first, last in bounds for position in range(first, last)] == list(range(size))
    sizes = [last - first for first, last in bounds]
    assert max(sizes) - min(sizes) <= 1
    assert size < count or min(sizes) > 0


@pytest.mark.parametrize("micro_batches", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 5, 24])
def test_the_parts_of_a_micro_batch_are_that_micro_batch_of_one_device(
    count: int, micro_batches: int, size: int
) -> None:
    batch = tf.range(size)
    whole = Parts(1, (0,), micro_batches).of(batch, np.int64(0)).numpy()
    assert whole.tolist() == list(range(size))
    parts = [Parts(count, (0,), micro_batches).of(batch, np.int64(part)).numpy() for part in range(count)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(size))
    for number in range(micro_batches):
        low, high = slice_bounds(number, micro_batches, size)
        inside = [position for part in parts for position in part.tolist() if low <= position < high]
        assert inside == list(range(low, high))


@pytest.mark.parametrize("changes", [False, True])
def test_the_parts_of_two_processes_are_the_batches_of_one(changes: bool) -> None:
    examples = Examples(np.arange(23, dtype=np.float32)[:, np.newaxis], np.arange(23))
    change = (lambda x, y, step: (x + 100.0 * float(1), y)) if changes else None
    steps = steps_per_epoch(examples, 8)
    whole = list(training_batches(examples, 8, 5, change=change).take(2 * steps).as_numpy_iterator())
    first = training_batches(examples, 8, 5, change=change, parts=Parts(4, (0, 1))).take(4 * steps)
    second = training_batches(examples, 8, 5, change=change, parts=Parts(4, (2, 3))).take(4 * steps)
    first_parts, second_parts = (list(each.as_numpy_iterator()) for each in (first, second))
    for step, (x, y) in enumerate(whole):
        mine = [*first_parts[2 * step : 2 * step + 2], *second_parts[2 * step : 2 * step + 2]]
        assert np.array_equal(np.concatenate([part[0] for part in mine]), x)
        assert np.array_equal(np.concatenate([part[1] for part in mine]), y)


def test_the_parts_of_an_epoch_in_work_are_those_that_are_left() -> None:
    examples = Examples(np.arange(23, dtype=np.float32)[:, np.newaxis], np.arange(23))
    parts = Parts(2, (1,))
    every = list(training_batches(examples, 8, 5, parts=parts).take(6).as_numpy_iterator())
    rest = list(training_batches(examples, 8, 5, 1, 2, parts=parts).take(1).as_numpy_iterator())
    assert np.array_equal(rest[0][1], every[5][1])


def test_the_parts_of_an_evaluation_are_the_split_once() -> None:
    examples = Examples(np.arange(2050, dtype=np.float32)[:, np.newaxis], np.arange(2050))
    found = [list(evaluation_batches(examples, Parts(3, (part,))).as_numpy_iterator()) for part in range(3)]
    assert [len(each) for each in found] == [3, 3, 3]
    labels = np.concatenate([y for batches in zip(*found, strict=True) for _, y in batches])
    assert np.array_equal(labels, np.arange(2050))
