"""What kind a column is, and its cells as numbers and days."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import columns
from tfday7.data.columns import Table, deduce, parse_kinds, values


def _table(cells: list[str]) -> Table:
    return Table("file.csv", range(2, 2 + len(cells)), {"a": cells})


SENTENCES = [f"the {word} is {i} years old" for i in range(15) for word in ("cat", "dog")]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "-3e4", " 7 "], "numeric"),
        (["1", "2", "3", "4", "five"], "numeric"),  # With a mistake in it, which reading it will name.
        (["1", "", "3"], "numeric"),
        (["", "", ""], "numeric"),
        (["nan", "inf", "1e99"], "numeric"),
        (["1_0", "2_0"], "categorical"),
        (["2024-01-31", "1999-12-01"], "date"),
        (["2024-01-31T23:59", "2024-01-31 12:00:05+02:00", ""], "date"),
        (["2024-01-31", "2024-02-30", "2024-03-01"], "date"),
        (["31.1.2024", "1.2.2024"], "categorical"),
        (["red", "green", "red", "1"], "categorical"),
        (["yes", "no"] * 50, "categorical"),
        (["New York City", "Salt Lake City"] * 50, "categorical"),
        (SENTENCES, "text"),
    ],
)
def test_the_kind_follows_the_cells(cells: list[str], kind: str) -> None:
    assert deduce(_table(cells), "a") == kind


@pytest.mark.parametrize("name", ["user{}", "a{}-{}"])
def test_a_column_whose_values_never_repeat_is_taken_for_an_id(name: str) -> None:
    with pytest.raises(UserError, match="'a': 30 different values in 30 rows, as an id has") as caught:
        deduce(_table([name.format(i, i) for i in range(30)]), "a")
    assert caught.value.hint == "--columns=a=drop, or --columns=a=text if its words repeat"


def test_kinds_are_given_by_name_and_a_name_may_be_quoted() -> None:
    assert parse_kinds('a=numeric, "b, c=d"=text,e=drop') == {"a": "numeric", "b, c=d": "text", "e": "drop"}
    assert parse_kinds("") == {}


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("a=number", "unknown kind of column in --columns=a=number: 'number'", "did you mean numeric?"),
        ("a", "--columns=a: 'a'; expected NAME=KIND", "kinds: numeric, categorical, text, date, drop"),
        ("=text", "expected NAME=KIND", ""),
        ("a=text,a=date", "names a more than once", ""),
    ],
)
def test_kinds_that_cannot_be_meant_are_named(given: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_kinds(given)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_dates_are_days_since_2000_in_utc() -> None:
    cells = ["2000-01-01", "2000-01-02T12:00", "1999-12-31", "2024-02-29 06:00:00+06:00", "2001-01-01T00:00Z"]
    days = values(_table(cells), {"a": "date"})["a"]
    leap_day = (datetime.date(2024, 2, 29) - datetime.date(2000, 1, 1)).days
    np.testing.assert_array_equal(days, [0, 1.5, -1, leap_day, 366])


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (["1", "red", "x"], "numeric", "file.csv, line 3, column 'a': 'red'; expected a number"),
        (["1", " "], "numeric", "line 3, column 'a': an empty cell; expected a number"),
        (["1", "NaN"], "numeric", "'NaN'; expected a number"),
        (["1", "-inf"], "numeric", "'-inf'; expected a number"),
        (["1", "4e38"], "numeric", "'4e38'; expected a number"),
        (["1", "1_000"], "numeric", "'1_000'; expected a number"),
        (["2024-02-30"], "date", "'2024-02-30'; expected a date as in 2024-12-31"),
        (["0001-01-01T00:00+14:00"], "date", "expected a date"),
        (["2024-02-29", ""], "date", "an empty cell; expected a date"),
        (["9" * 100_000], "date", f"'{'9' * 60}'; expected a date"),
    ],
)
def test_the_first_cell_that_does_not_fit_is_named(cells: list[str], kind: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        values(_table(cells), {"a": kind})
    assert expected in caught.value.message


def test_the_first_bad_line_of_all_columns_is_named() -> None:
    table = Table("file.csv", [2, 3, 9], {"a": ["1", "2", "x"], "b": ["1", "y", "3"]})
    with pytest.raises(UserError, match="line 3, column 'b'"):
        values(table, {"a": "numeric", "b": "numeric"})


def test_empty_cells_are_nan_where_they_may_be_filled_and_words_are_not() -> None:
    found = values(_table(["1", "", "3"]), {"a": "numeric"}, fill_missing=True)["a"]
    np.testing.assert_array_equal(found, [1, np.nan, 3])
    with pytest.raises(UserError, match="line 4, column 'a': 'NA'"):
        values(_table(["1", "", "NA"]), {"a": "numeric"}, fill_missing=True)


@pytest.mark.parametrize("kind", ["categorical", "text", "date"])
def test_a_column_of_one_value_is_refused_unless_it_is_a_number(kind: str) -> None:
    with pytest.raises(UserError, match="every cell is '2024-01-01'"):
        columns.check_varies(_table(["2024-01-01"] * 3), "a", kind)
    columns.check_varies(_table(["1"] * 3), "a", "numeric")
