"""Windows of time series: which rows they hold, and that no row is on two sides."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data.windows import SPLITS, Windows, cut, order


def test_windows_are_stretches_of_the_table() -> None:
    table = np.arange(20, dtype=np.float32).reshape(10, 2)
    windows = Windows(table, np.array([0, 4, 7]), 3)
    assert windows.shape == (3, 3, 2)
    np.testing.assert_array_equal(windows[1], table[4:7])
    np.testing.assert_array_equal(windows.read(np.array([2, 0])), [table[7:10], table[0:3]])


def test_long_windows_take_no_more_memory_than_the_table() -> None:
    table = np.zeros((200_000, 4), np.float32)  # 3.2 MB; as windows of 5,000 rows 11 GB.
    tracemalloc.start()
    found = cut(np.zeros(len(table), np.int64), 5_000, 1)
    windows = Windows(table, found.starts["train"], 5_000)
    assert windows.size * 4 > 10**10
    assert windows[[0, 70_000]].shape == (2, 5_000, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * table.nbytes


@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (4, 1), (5, 3), (3, 0)])
def test_no_row_is_on_two_sides_and_no_window_crosses_series(window: int, horizon: int) -> None:
    series = np.repeat([0, 1, 2], [100, 60, 90])
    starts = cut(series, window, horizon).starts
    seen: dict[int, str] = {}
    for split in SPLITS:
        for start in starts[split].tolist():
            rows = range(start, start + window + horizon)
            assert len(set(series[list(rows)])) == 1
            for row in rows:
                assert seen.setdefault(row, split) == split


def test_each_series_is_tested_on_its_last_rows() -> None:
    found = cut(np.repeat([0, 1], [100, 40]), 2, 1)
    # Of 100 rows 15 test and 15 validate, of 40 rows 6 and 6; r rows hold r - 2 windows of 2 with a target after them.
    assert found.starts["test"].tolist() == [*range(85, 98), *range(134, 138)]
    assert found.starts["validation"].tolist() == [*range(70, 83), *range(128, 132)]
    assert found.starts["train"].tolist() == [*range(68), *range(100, 126)]
    assert found.training_rows.sum() == 70 + 28


def test_a_series_that_is_too_short_gives_nothing_where_others_do() -> None:
    found = cut(np.repeat([0, 1], [100, 3]), 5, 1)
    assert max(starts.max() for starts in found.starts.values()) < 100


@pytest.mark.parametrize("rows", [1, 5, 60])
def test_a_window_that_is_too_long_says_how_many_rows_it_takes(rows: int) -> None:
    with pytest.raises(UserError, match=f"--window=9 and --horizon=1 take 10 rows.* has {rows} rows in all") as caught:
        cut(np.zeros(rows), 9, 1)
    assert "at least 67 rows" in caught.value.hint  # 15% of 67 is 10.05.
    cut(np.zeros(67), 9, 1)


def test_rows_are_ordered_by_time_within_each_series() -> None:
    series, time = np.array([1, 0, 1, 0, 1]), np.array([3.0, 9.0, 1.0, 2.0, 2.0])
    assert order(series, time).tolist() == [3, 1, 2, 4, 0]
