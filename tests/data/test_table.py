"""Mixed columns as features, against arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import table
from tfday7.data.columns import Table, values
from tfday7.data.table import EncodedRows, Encoding

ROWS = {
    "city": ["Rome", "Oslo", "Rome", "", "Lima", "Rome"],
    "size": ["1", "2", "", "5", "7", "100"],
    "note": ["good, good food", "Bad food", "", "bad", "good wine", "wine"],
    "when": ["2000-01-01", "2000-01-08", "2001-01-01", "2000-01-02", "2000-01-01", "2000-01-03"],
}
KINDS = {"city": "categorical", "size": "numeric", "note": "text", "when": "date"}
TRAIN = np.array([True, True, True, True, False, False])


def _encoded(
    rows: dict[str, list[str]] = ROWS, kinds: dict[str, str] = KINDS, train: np.ndarray = TRAIN
) -> tuple[np.ndarray, Encoding, tuple[np.ndarray, np.ndarray]]:
    cells = Table("file.csv", range(2, 2 + len(train)), rows)
    groups = table.row_groups(cells, kinds)
    return table.encode(cells, kinds, values(cells, kinds, fill_missing=True), groups, train)


def test_each_kind_becomes_its_features() -> None:
    x, encoding, _ = _encoded()
    assert x.dtype == np.float32
    city, size, note, when = np.split(x, np.cumsum([column.width for column in encoding.columns])[:-1], axis=1)
    assert encoding.columns[0].values == ("Rome", "", "Oslo")  # Lima is in no training row.
    assert city.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    mean = np.float32((1 + 2 + 5) / 3)
    assert size.tolist() == [[1, 0], [2, 0], [mean, 1], [5, 0], [7, 0], [100, 0]]
    assert encoding.columns[2].values == ("bad", "food", "good")
    assert note.tolist() == [[0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0]]
    days = np.array([0, 7, 366, 1, 0, 2])
    year, week = 2 * math.pi * days / 365.2425, 2 * math.pi * days / 7
    expected = np.stack([days, np.sin(year), np.cos(year), np.sin(week), np.cos(week)], axis=1)
    np.testing.assert_allclose(when, expected, atol=1e-5)


def test_the_time_of_day_is_two_features_where_any_date_has_one() -> None:
    rows = {"when": ["2024-05-01T06:00", "2024-05-02T00:00", "2024-05-03T12:00", "2024-05-04T18:00"] * 3}
    x, encoding, _ = _encoded(rows, {"when": "date"}, np.ones(12, bool))
    assert encoding.columns[0].times
    np.testing.assert_allclose(x[:4, -2:], [[1, 0], [0, 1], [0, -1], [-1, 0]], atol=1e-5)


def test_only_numbers_and_days_are_standardized_and_by_training_rows_alone() -> None:
    _, encoding, (mean, std) = _encoded()
    first_size, first_day = 4, 4 + 2 + 4
    size, days = [1, 2, 8 / 3, 5], [0, 7, 366, 1]
    np.testing.assert_allclose(mean[[first_size, first_day]], [np.mean(size), np.mean(days)], rtol=1e-6)
    np.testing.assert_allclose(std[[first_size, first_day]], [np.std(size), np.std(days)], rtol=1e-6)
    others = np.ones(len(mean), bool)
    others[[first_size, first_day]] = False
    assert set(mean[others]) == {0}
    assert set(std[others]) == {1}
    assert encoding.columns[1].filled == 1


def test_what_does_not_train_changes_nothing_that_is_learned() -> None:
    tails = {"city": ["Lima", "Lima"], "size": ["-900", "4"], "note": ["zzz zzz", "zzz"], "when": ["1999-01-01"] * 2}
    _, before, moments_before = _encoded()
    _, after, moments_after = _encoded({name: [*cells[:4], *tails[name]] for name, cells in ROWS.items()})
    assert before == after
    np.testing.assert_array_equal(moments_before, moments_after)


def test_rows_read_later_are_those_that_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _, _ = _encoded()
    monkeypatch.setattr(table, "HELD_BYTES", 0)
    lazy, _, _ = _encoded()
    assert isinstance(lazy, EncodedRows)
    chosen = np.array([5, 0, 0, 3])
    np.testing.assert_array_equal(lazy.read(chosen), kept[chosen])
    np.testing.assert_array_equal(lazy[2:4], kept[2:4])
    identities = list(lazy.contents(np.arange(6)))
    assert len(set(identities)) == 6


def test_equal_rows_have_equal_groups_and_no_others() -> None:
    cells = Table("file.csv", range(4), {"a": ["x", " x ", "xy", "x"], "b": ["yz", "yz", "z", "y z"]})
    first, second, third, fourth = table.row_groups(cells, ("a", "b")).tolist()
    assert first == second
    assert len({first, third, fourth}) == 3


def test_a_lone_text_column_becomes_token_ids() -> None:
    x, encoding, moments = _encoded({"note": ROWS["note"]}, {"note": "text"})
    assert encoding.tokens() == ("[padding]", "[unknown]", "bad", "food", "good")
    assert x.dtype == np.int32
    assert x.tolist() == [[4, 4, 3], [2, 3, 0], [0, 0, 0], [2, 0, 0], [4, 1, 0], [1, 0, 0]]
    assert moments is None


def test_the_most_frequent_hundred_values_are_known() -> None:
    cells = [f"v{i % 120}" for i in range(240)] + [f"v{i}" for i in range(100)]
    _, encoding, _ = _encoded({"a": cells, "b": cells}, {"a": "categorical", "b": "categorical"}, np.ones(340, bool))
    assert set(encoding.columns[0].values) == {f"v{i}" for i in range(100)}


def test_values_that_keras_keeps_for_itself_are_others() -> None:
    rows = {"a": ["[UNK]", "x", "y"], "b": ["x", "y", "x"]}
    x, encoding, _ = _encoded(rows, {"a": "categorical", "b": "categorical"}, np.ones(3, bool))
    assert encoding.columns[0].values == ("x", "y")
    assert x[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_inputs_get_plain_and_different_names() -> None:
    rows = {name: ["x", "y"] for name in ("a b", "a-b", "a_b", "中文", "ok")}
    _, encoding, _ = _encoded(rows, dict.fromkeys(rows, "categorical"), np.ones(2, bool))
    assert [column.input for column in encoding.columns] == ["a_b", "a_b_2", "a_b_3", "column", "ok"]


def test_the_record_says_which_features_each_column_has() -> None:
    _, encoding, _ = _encoded()
    places = [(record["name"], record["first_feature"], record["features"]) for record in encoding.to_json()]
    assert places == [("city", 0, 4), ("size", 4, 2), ("note", 6, 4), ("when", 10, 5)]
    assert encoding.summary() == "city (categorical), size (numeric), note (text), when (date)"


def test_a_column_that_is_empty_wherever_it_trains_is_refused() -> None:
    rows = {"a": ["", "", "3"], "b": ["x", "y", "x"]}
    with pytest.raises(UserError, match="column 'a': every training row is empty"):
        _encoded(rows, {"a": "numeric", "b": "categorical"}, np.array([True, True, False]))
