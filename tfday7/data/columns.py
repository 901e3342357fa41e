"""The columns of a `.csv` file: its cells, what kind each column is, and cells as numbers or days.

A kind is given, or deduced from the cells: numbers, dates (ISO 8601), texts of several words, or else categories. A
column of which at least half the cells are numbers is a column of numbers with mistakes in it, and the first mistake is
an error: what is meant by "NA" or "12 kg" is not guessed.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError, unknown_name

KINDS = ("numeric", "categorical", "text", "date", "drop")
FLOAT32_MAX = float(np.finfo(np.float32).max)
EPOCH = datetime.datetime(2000, 1, 1)  # Dates without a zone are as they are; those with one are brought to UTC.
DAY = datetime.timedelta(days=1)
MIN_TEXT_WORDS = 3.0  # On average; names of places and products have fewer,
MANY_VALUES = 100  # and there are not as many of them.
MAX_DIFFERENT = 0.9  # A column with more different values than that share of its rows names the rows.
MIN_ROWS = 20  # In fewer rows all values may well be different.
SAMPLE = 10_000  # Cells whose words are counted.
MAX_LISTED = 100


@dataclasses.dataclass(frozen=True)
class Table:
    """The cells of a file.

    Attributes:
        path: the file, for messages.
        lines: the line on which each row ends.
        columns: name -> the cells, as they stand in the file, in the order of the header.
    """

    path: str
    lines: Sequence[int]
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, name: str, row: int) -> str:
        """Returns where a cell is, in words."""
        return f"{self.path}, line {self.lines[row]}, column {name!r}"


def read_table(path: str) -> Table:
    """Returns the cells of a CSV file with a header line.

    Raises:
        UserError: it cannot be read, is no table, a column has no name, or a line has too many or too few values.
    """
    lines: list[int] = []
    ragged: list[tuple[int, int]] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            cells: list[list[str]] = [[] for _ in header]  # Rows as lists would keep the garbage collector busy.
            for row in filter(None, reader):
                lines.append(reader.line_num)
                if len(row) != len(header):
                    ragged.append((reader.line_num, len(row)))
                for column, cell in zip(cells, row, strict=False):
                    column.append(cell)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise UserError(
            f"{path}: not a readable CSV file ({error})", "expected UTF-8 text with a header line"
        ) from error
    if "" in header and len(header) > 1:  # The number of the row would train, and could not be named to be dropped.
        place = header.index("") + 1
        raise UserError(
            f"{path}: column {place} has no name" + (" (pandas writes its index so)" if place == 1 else ""),
            "name it in the header line" + (", or write the file with index=False" if place == 1 else ""),
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: the header names {', '.join(repeated)} more than once")
    if len(header) < 2 or not lines:
        raise UserError(f"{path}: {len(header)} columns and {len(lines)} rows; expected at least 2 columns and 1 row")
    for line, count in ragged[:1]:
        raise UserError(f"{path}, line {line}: {count} values; expected {len(header)} as in the header")
    return Table(path, lines, dict(zip(header, cells, strict=True)))


def listed(names: Sequence[str]) -> str:
    """Returns columns' names for a sentence, the first 100. It goes into brackets, as a name may say anything."""
    more = f", and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def parse_kinds(columns: str) -> dict[str, str]:
    """Returns name -> kind of `--columns`, where a name with a comma is quoted as in CSV.

    Raises:
        UserError: not NAME=KIND, an unknown kind, or a column named twice.
    """
    kinds: dict[str, str] = {}
    for part in next(csv.reader([columns], skipinitialspace=True), []):
        name, equals, kind = (piece.strip() for piece in part.rpartition("="))
        if not equals or not name:
            raise UserError(
                f"--columns={columns}: {part!r}; expected NAME=KIND,NAME=KIND,...", f"kinds: {', '.join(KINDS)}"
            )
        if kind not in KINDS:
            raise unknown_name(f"kind of column in --columns={columns}:", kind, KINDS)
        if name in kinds:
            raise UserError(f"--columns={columns} names {name} more than once")
        kinds[name] = kind
    return kinds


def deduce(table: Table, name: str) -> str:
    """Returns the kind of a column. Raises UserError when nearly every value is different, as an id's are."""
    cells = [text for text in map(str.strip, table.columns[name]) if text]
    if mostly(cells, number):
        return "numeric"  # One without any value too, so that its first empty cell is the error.
    if mostly(cells, day):
        return "date"
    different = len(set(cells))
    sample = cells[:: max(1, len(cells) // SAMPLE)]
    words = sum(len(text.split()) for text in sample) / len(sample)
    if words >= MIN_TEXT_WORDS and different > min(MANY_VALUES, len(cells) / 2):
        return "text"
    if different > MAX_DIFFERENT * len(cells) and len(cells) >= MIN_ROWS:
        raise UserError(
            f"{table.path}, column {name!r}: {different:,} different values in {len(cells):,} rows, as an id has; "
            "nothing is learned from values that do not repeat",
            f"--columns={name}=drop, or --columns={name}=text if its words repeat",
        )
    return "categorical"


def check_varies(table: Table, name: str, kind: str) -> None:
    """Raises UserError when a column of this kind has the same cell in every row. Numbers may; they always could."""
    first = table.columns[name][0].strip()
    if kind != "numeric" and all(text.strip() == first for text in table.columns[name]):
        raise UserError(
            f"{table.path}, column {name!r}: every cell is {first[:60]!r}; there is nothing to learn from",
            f"--columns={name}=drop",
        )


def values(table: Table, kinds: Mapping[str, str], fill_missing: bool = False) -> dict[str, np.ndarray]:
    """Returns float64 [rows] of each column of numbers, and of dates as days since 2000-01-01; NaN where one is empty.

    Args:
        table: the cells.
        kinds: kind of each column; those of other kinds are left out.
        fill_missing: whether cells may be empty.

    Raises:
        UserError: the first cell that is none, or is empty, or is beyond float32.
    """
    parsers = {"numeric": _numbers, "date": _days}
    found = {name: parsers[kind](table.columns[name]) for name, kind in kinds.items() if kind in parsers}
    bad: list[tuple[int, str]] = []
    for name, column in found.items():
        for row in np.flatnonzero(np.isnan(column)).tolist():
            if table.columns[name][row].strip() or not fill_missing:
                bad.append((row, name))
                break
    if bad:
        row, name = min(bad, key=lambda place: place[0])
        raise _bad_cell(table, row, name, kinds[name])
    return found


def number(text: str) -> float:
    """Returns the number in a cell; NaN for one that is not finite in float32. Raises ValueError when it is none."""
    if "_" in text:  # Python reads "1_000" as a number; in a table it is a word.
        raise ValueError(text)
    value = float(text)
    return value if abs(value) <= FLOAT32_MAX else np.nan


def day(text: str) -> float:
    """Returns days since 2000-01-01 of an ISO 8601 date, in UTC where it names a zone. Raises ValueError when none."""
    date = datetime.datetime.fromisoformat(text.strip())
    if date.tzinfo is not None:
        date = date.astimezone(datetime.UTC).replace(tzinfo=None)
    return (date - EPOCH) / DAY


def mostly(cells: Sequence[str], parse: Callable[[str], float]) -> bool:
    """Returns whether at least half of the cells can be parsed; stops as soon as it is known."""
    others = len(cells) // 2 + 1  # So many cells that are something else decide, or the rest that are not.
    found = len(cells) - others + 1
    for text in cells:
        try:
            parse(text)
            found -= 1
        except (ValueError, OverflowError):
            others -= 1
        if not found or not others:
            return not found
    return True


def _numbers(cells: Sequence[str]) -> np.ndarray:
    try:
        if "_" in "".join(cells):
            raise ValueError
        found = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:  # One after the other takes five times as long.
        return _one_by_one(cells, number)
    return np.where(np.abs(found) <= FLOAT32_MAX, found, np.nan)


def _days(cells: Sequence[str]) -> np.ndarray:
    return _one_by_one(cells, day)


def _one_by_one(cells: Sequence[str], parse: Callable[[str], float]) -> np.ndarray:
    def value(text: str) -> float:
        try:
            return parse(text)
        except (ValueError, OverflowError):
            return np.nan

    return np.fromiter(map(value, cells), np.float64, len(cells))


def _bad_cell(table: Table, row: int, name: str, kind: str) -> UserError:
    text = table.columns[name][row]
    wanted = "a number" if kind == "numeric" else "a date as in 2024-12-31 or 2024-12-31T23:59"
    if not text.strip():
        what, hint = "an empty cell", "remove the line, or fill such cells with the column's mean: --fill_missing"
    else:
        what, hint = repr(text[:60]), f"correct or remove the line, or say what the column is: --columns={name}=KIND"
    return UserError(f"{table.place(name, row)}: {what}; expected {wanted}", hint)
