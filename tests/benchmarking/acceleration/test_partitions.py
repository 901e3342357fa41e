"""Parts that a delegate gets, on graphs that fit on a line."""

from __future__ import annotations

from benchmarking.acceleration.operator_samples import operator, tensor

from tfday7.benchmarking.acceleration.partitions import partitions


def graph(*edges: tuple[tuple[int, ...], int]) -> list:
    """Returns operators that read tensors and write one; tensor 0 is the input."""
    return [
        operator("X", [tensor(at) for at in read], [tensor(written)], index)
        for index, (read, written) in enumerate(edges)
    ]


def test_a_chain_without_gaps_is_one_part() -> None:
    assert partitions(graph(((0,), 1), ((1,), 2), ((2,), 3)), [True, True, True]) == [[0, 1, 2]]


def test_a_gap_in_a_chain_makes_two_parts() -> None:
    assert partitions(graph(((0,), 1), ((1,), 2), ((2,), 3)), [True, False, True]) == [[0], [2]]


def test_a_branch_beside_the_gap_stays_in_the_first_part() -> None:
    branched = graph(((0,), 1), ((1,), 2), ((1,), 3), ((2, 3), 4))
    assert partitions(branched, [True, False, True, True]) == [[0, 2], [3]]


def test_what_comes_first_need_not_be_taken() -> None:
    assert partitions(graph(((0,), 1), ((1,), 2)), [False, True]) == [[1]]
    assert partitions(graph(((0,), 1), ((1,), 2)), [False, False]) == []
