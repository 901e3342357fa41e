"""Windows of time series: `window` rows as one example, and the target `horizon` rows after its last one.

Each series is split by time: its last 15% are the test split, the 15% before them the validation split. A window whose
rows, the target's included, do not all lie in one split is left out, so that no row that tests has been seen in
training. A window is read out of the table when it is asked for: memory is the table's, however long the windows.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.lazy import LazyInputs

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.15
SPLITS = ("train", "validation", "test")


class Windows(LazyInputs):
    """Windows float32 [n, window, channels] of a table.

    Args:
        table: float32 [rows, channels], in the order of time.
        starts: int64 [n], the first row of each window.
        window: rows a window.
    """

    finite = True

    def __init__(self, table: np.ndarray, starts: np.ndarray, window: int) -> None:
        super().__init__((len(starts), window, table.shape[1]), np.float32)
        self.table = table
        self.starts = starts
        self.steps = np.arange(window)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        return self.table[self.starts[indices][:, np.newaxis] + self.steps]

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """Yields where each window lies: a stretch that comes again later is no copy. The table has its own digest."""
        return (self.starts[index].tobytes() for index in indices)


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where the windows of each split lie.

    Attributes:
        starts: split -> the first row of each window.
        training_rows: bool [rows]: rows of the training split.
    """

    starts: dict[str, np.ndarray]
    training_rows: np.ndarray


def order(series: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Returns the rows ordered by series, and by time within each; rows of equal time keep their order."""
    return np.lexsort((time, series))


def cut(series: np.ndarray, window: int, horizon: int) -> Cut:
    """Returns the windows of series that lie one after the other.

    Args:
        series: [rows], a number for each series, ascending.
        window: rows a window.
        horizon: rows from the window's last to the target's; 0 when there is none.

    Raises:
        UserError: a split gets no window; the message says how long a series has to be.
    """
    span = window + horizon
    borders = np.concatenate([[0], np.flatnonzero(np.diff(series)) + 1, [len(series)]]).tolist()
    starts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    training_rows = np.zeros(len(series), bool)
    for first, end in itertools.pairwise(borders):
        rows = end - first
        test = end - int(TEST_SHARE * rows)
        validation = test - int(VALIDATION_SHARE * rows)
        training_rows[first:validation] = True
        parts = {"train": (first, validation), "validation": (validation, test), "test": (test, end)}
        for name, (begin, stop) in parts.items():
            starts[name].append(np.arange(begin, stop - span + 1))
    joined = {name: np.concatenate(found) for name, found in starts.items()}
    empty = [name for name in SPLITS if not len(joined[name])]
    if empty:
        longest = int(np.max(np.diff(borders)))
        raise UserError(
            f"--window={window}" + (f" and --horizon={horizon}" if horizon else "") + f" take {span} rows, but the "
            f"{empty[0]} split has no {span} rows in a row; the longest series has {longest:,} rows in all",
            f"each of the last two splits is 15% of a series: give at least {_rows_needed(span):,} rows, or a "
            "shorter --window",
        )
    return Cut(joined, training_rows)


def _rows_needed(span: int) -> int:
    rows = span
    while int(TEST_SHARE * rows) < span or int(VALIDATION_SHARE * rows) < span:
        rows += max(1, span // 100)
    return rows
