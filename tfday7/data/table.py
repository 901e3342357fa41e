"""Tables of mixed columns as numbers: how each column is encoded, and the encoded rows, read when they are asked for.

What an encoding needs to know (which values there are, which words, what the mean is) is learned from the rows that
train, and from no others. `Encoding` is data alone: `models/raw_columns.py` makes Keras layers of it, and it stands in
the record of every exported file, so that an app can do the same.

    numeric      the number
    categorical  one-hot: "other", then the most frequent values
    text         multi-hot: "other word", then the most frequent words; standardized and split as Keras's
                 TextVectorization does it. The only column of a table becomes token ids instead.
    date         days since 2000-01-01, then sine and cosine of the time of the year, of the week, and of the day where
                 any cell has a time

A column of numbers or dates with empty cells (`--fill_missing`) gets the mean there, and one more feature that says so.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data import words
from tfday7.data.columns import Table
from tfday7.data.lazy import Inputs, LazyInputs

MAX_VALUES = 100  # Of a categorical column; the rest is "other".
MAX_WORDS = 1000  # Of a text column beside others.
UNKNOWN = "[UNK]"  # Keras's own name for what is not in a vocabulary; no value may be called so.
HELD_BYTES = 2**26  # Encoded rows of up to 64 MB are kept, larger ones are encoded when they are read.
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}  # In days.


@dataclasses.dataclass(frozen=True)
class Column:
    """How one column becomes features.

    Attributes:
        name: in the file.
        input: of the model's input for it: the name with everything but letters, digits and _ replaced.
        kind: "numeric", "categorical", "text" or "date".
        values: the known values or words; the feature before the first stands for all others.
        times: whether a date has a time of the day.
        mean: what stands for an empty cell, which also sets the last feature to 1; None where no cell is empty.
        filled: how many cells were empty.
    """

    name: str
    input: str
    kind: str
    values: tuple[str, ...] = ()
    times: bool = False
    mean: float | None = None
    filled: int = 0

    @property
    def periods(self) -> tuple[float, ...]:
        """The periods of a date's sines and cosines, in days."""
        if self.kind != "date":
            return ()
        return tuple(length for name, length in PERIODS.items() if name != "day" or self.times)

    @property
    def width(self) -> int:
        """The number of features."""
        if self.kind in ("categorical", "text"):
            return 1 + len(self.values)
        return 1 + 2 * len(self.periods) + (self.mean is not None)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How the columns of a table become the inputs of a model, in this order.

    Attributes:
        columns: one or more.
        length: words a text, where a single text column becomes token ids (0 padding, 1 unknown); 0 otherwise.
    """

    columns: tuple[Column, ...]
    length: int = 0

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the columns as plain JSON values, each with the features that it becomes."""
        first, found = 0, []
        for column in self.columns:
            last = self.length if self.length else first + column.width
            record = {**dataclasses.asdict(column), "values": list(column.values)}
            kind = {"first_feature": first, "features": last - first, "encoding": _ENCODINGS[column.kind]}
            found.append({**record, **kind, **({"encoding": _TOKEN_IDS} if self.length else {})})
            first = last
        return found

    def tokens(self) -> tuple[str, ...]:
        """Returns the word of each token id, where there are token ids; empty otherwise."""
        return (words.PADDING, words.OTHER, *self.columns[0].values) if self.length else ()

    def summary(self) -> str:
        """Returns each column with its kind, for people."""
        return ", ".join(f"{column.name} ({column.kind})" for column in self.columns)

    def digest(self) -> str:
        """Returns 16 hexadecimal digits over everything that changes the features."""
        columns = [dataclasses.replace(column, filled=0) for column in self.columns]
        text = json.dumps([dataclasses.asdict(column) for column in columns] + [self.length])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


_ENCODINGS = {
    "numeric": "the number",
    "categorical": "one-hot: other, then the values",
    "text": f"multi-hot: other word, then the values; {words.STANDARDIZATION}",
    "date": "days since 2000-01-01, float32; sin and cos of 2 pi (days mod period) / period for "
    + ", ".join(f"{length} ({name})" for name, length in PERIODS.items() if name != "day")
    + " and, if times, 1 (day)",
}
_TOKEN_IDS = f"token ids: 0 padding, 1 other word, from 2 the values; {words.STANDARDIZATION}"


class EncodedRows(LazyInputs):
    """The features float32 [rows, features], encoded when they are read.

    Args:
        columns: how.
        stored: for each column float32 [rows] with NaN for empty cells, int32 [rows] indices of values, or
            `words.Ids`.
        groups: [rows]; equal for equal rows.
    """

    finite = True

    def __init__(self, columns: Sequence[Column], stored: Sequence[Any], groups: np.ndarray) -> None:
        super().__init__((len(groups), sum(column.width for column in columns)), np.float32)
        self.columns = columns
        self.stored = stored
        self.groups = groups

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        rows = np.zeros((len(indices), self.shape[1]), np.float32)
        first = 0
        for column, stored in zip(self.columns, self.stored, strict=True):
            part = rows[:, first : first + column.width]
            if isinstance(stored, words.Ids):
                stored.mark(indices, part)
            elif column.kind == "categorical":
                part[np.arange(len(indices)), stored[indices]] = 1.0
            else:
                _write_numbers(column, stored[indices], part)
            first += column.width
        return rows

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """See `LazyInputs.contents`: a row is told by its cells, which are 8 bytes here, not by all its features."""
        return (self.groups[index].tobytes() for index in indices)


def encode(
    table: Table,
    kinds: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    groups: np.ndarray,
    train: np.ndarray,
) -> Any:
    """Returns the inputs, the encoding, and the mean and deviation (float32 [features]) of what is to be standardized.

    Args:
        table: the cells.
        kinds: kind of each column, in the order of the features.
        numbers: of the columns of numbers and dates; see `columns.values`.
        groups: [rows]; see `row_groups`.
        train: bool [rows]: which rows are learned from.

    Raises:
        UserError: a column of which the training rows have nothing to learn from.
    """
    names = _input_names(kinds)
    if list(kinds.values()) == ["text"]:
        return _token_ids(table, next(iter(kinds)), names, train, groups)
    made = [_column(table, name, kind, names[name], numbers, train) for name, kind in kinds.items()]
    encoding = Encoding(tuple(column for column, _ in made))
    rows = EncodedRows(encoding.columns, [stored for _, stored in made], groups)
    return held(rows), encoding, _moments(made, train)


def row_groups(table: Table, names: Iterable[str]) -> np.ndarray:
    """Returns int64 [rows], a hash of each row's cells in these columns."""
    stripped = [list(map(str.strip, table.columns[name])) for name in names]
    rows = ("\x1f".join(cells).encode() for cells in zip(*stripped, strict=True))
    return np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows), np.int64)


def held(rows: LazyInputs) -> Inputs:
    """Returns small inputs as an array, which is read faster."""
    return rows[:] if rows.size * rows.dtype.itemsize <= HELD_BYTES else rows


def _token_ids(table: Table, name: str, names: Mapping[str, str], train: np.ndarray, groups: np.ndarray) -> Any:
    ids = words.ids(table.columns[name], train, words.MAX_IDS, table.path, name)
    lengths = np.diff(ids.offsets)[train]
    length = int(min(max(1, math.ceil(np.quantile(lengths, words.LENGTH_QUANTILE))), words.MAX_LENGTH))
    column = Column(name, names[name], "text", ids.vocabulary)
    return held(words.Tokens(ids, length, groups)), Encoding((column,), length), None


def _column(
    table: Table, name: str, kind: str, given: str, numbers: Mapping[str, np.ndarray], train: np.ndarray
) -> tuple[Column, Any]:
    if kind == "text":
        ids = words.ids(table.columns[name], train, MAX_WORDS, table.path, name)
        return Column(name, given, kind, ids.vocabulary), ids
    if kind == "categorical":
        cells = table.columns[name]  # With their spaces: no layer of the delivered model could take them off.
        counts = collections.Counter(text for text, trains in zip(cells, train.tolist(), strict=True) if trains)
        frequent = sorted((-count, text) for text, count in counts.items() if text != UNKNOWN and "\0" not in text)
        known = tuple(text for _, text in frequent[:MAX_VALUES])
        if not known:
            raise UserError(f"{table.path}, column {name!r}: the training rows have no value", f"--columns={name}=drop")
        index = {text: i for i, text in enumerate(known, 1)}
        return Column(name, given, kind, known), np.array([index.get(text, 0) for text in cells], np.int32)
    stored = numbers[name].astype(np.float32)
    missing = np.isnan(stored)
    if missing[train].all():
        raise UserError(f"{table.path}, column {name!r}: every training row is empty", f"--columns={name}=drop")
    mean = float(np.float32(np.nanmean(stored[train], dtype=np.float64))) if missing.any() else None
    times = kind == "date" and bool(np.any(np.nan_to_num(stored) % 1))
    return Column(name, given, kind, times=times, mean=mean, filled=int(missing.sum())), stored


def _write_numbers(column: Column, numbers: np.ndarray, part: np.ndarray) -> None:
    """Writes numbers float32 [rows] as the features of a column; in float32 throughout, as the model does it."""
    if column.mean is not None:
        missing = np.isnan(numbers)
        part[:, -1] = missing
        numbers = np.where(missing, np.float32(column.mean), numbers)
    part[:, 0] = numbers
    for i, period in enumerate(column.periods):
        angle = np.mod(numbers, np.float32(period)) * np.float32(2 * math.pi / period)
        part[:, 1 + 2 * i], part[:, 2 + 2 * i] = np.sin(angle), np.cos(angle)


def _moments(made: Sequence[tuple[Column, Any]], train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and deviation of numbers and days; 0 and 1 for features that lie between -1 and 1 as they are."""
    width = sum(column.width for column, _ in made)
    mean, std = np.zeros(width, np.float32), np.ones(width, np.float32)
    first = 0
    for column, stored in made:
        if column.kind in ("numeric", "date"):
            numbers = stored[train].astype(np.float64)
            numbers = numbers if column.mean is None else np.where(np.isnan(numbers), column.mean, numbers)
            mean[first], std[first] = numbers.mean(), numbers.std() or 1.0
        first += column.width
    return mean, np.where(std > 0, std, np.float32(1))


def _input_names(names: Iterable[str]) -> dict[str, str]:
    """Returns a name for each column's input that every runtime takes, each different."""
    found: dict[str, str] = {}
    for name in names:
        plain = free = re.sub("[^A-Za-z0-9_]+", "_", name).strip("_") or "column"
        count = 1
        while free in found.values():
            count += 1
            free = f"{plain}_{count}"
        found[name] = free
    return found
