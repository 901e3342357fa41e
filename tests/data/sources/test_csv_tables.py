"""CSV files with columns of several kinds, and time series from CSV: what is loaded, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load
from tfday7.data.lazy import LazyInputs
from tfday7.data.source import find_source

HEAD = "city,size,note,born,label"


def _rows(count: int = 200) -> list[str]:
    draw = random.Random(5)
    cities, notes = ("Rome", "Oslo", "Lima"), ("good clean and quiet", "bad loud and dirty", "a place to sleep")
    return [
        f"{draw.choice(cities)},{draw.randint(1, 90)},{draw.choice(notes)} {draw.randint(1, 99)},"
        f"20{draw.randint(10, 24)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)},{'yes' if i % 2 else 'no'}"
        for i in range(count)
    ]


def _load(tmp_path: Path, lines: list[str], target: str = "label", **flags: Any) -> Dataset:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = DataConfig(data=str(path), target=target, **flags)
    find_source(config)
    return load(config)


def test_kinds_are_deduced_and_named(tmp_path: Path) -> None:
    dataset = _load(tmp_path, [HEAD, *_rows()])
    encoding = dataset.problem.encoding
    assert encoding is not None
    assert encoding.summary() == "city (categorical), size (numeric), note (text), born (date)"
    assert dataset.problem.kind == "tabular"
    assert dataset.problem.input_shape == (sum(column.width for column in encoding.columns),)
    assert dataset.train.x.dtype == np.float32


def test_kinds_can_be_given_and_columns_dropped(tmp_path: Path) -> None:
    dataset = _load(tmp_path, [HEAD, *_rows()], columns="size=categorical,note=drop,born=drop")
    encoding = dataset.problem.encoding
    assert encoding is not None
    assert [(column.name, column.kind) for column in encoding.columns] == [
        ("city", "categorical"), ("size", "categorical"),
    ]  # fmt: skip


def test_a_table_left_with_numbers_is_the_numbers(tmp_path: Path) -> None:
    dataset = _load(tmp_path, [HEAD, *_rows()], columns="city=drop,note=drop,born=drop", fill_missing=True)
    assert dataset.problem.encoding is None
    assert sorted(set(dataset.train.x[:, 0])) == sorted({float(value) for value in dataset.train.x[:, 0]})
    assert dataset.problem.input_shape == (1,)


def test_a_single_text_column_is_text(tmp_path: Path) -> None:
    dataset = _load(tmp_path, [HEAD, *_rows()], columns="city=drop,size=drop,born=drop")
    assert dataset.problem.kind == "text"
    assert dataset.problem.vocabulary[:2] == ("[padding]", "[unknown]")
    assert {"good", "clean", "sleep"} <= set(dataset.problem.vocabulary)
    assert dataset.train.x.dtype == np.int32
    assert dataset.train.x.max() < len(dataset.problem.vocabulary)


def test_equal_rows_fall_on_one_side(tmp_path: Path) -> None:
    rows = _rows(60)
    dataset = _load(tmp_path, [HEAD, *rows, *rows, *rows])
    parts = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = ({row.tobytes() for row in np.asarray(part.x)} for part in parts)
    assert not train & (validation | test)
    assert not validation & test
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 180


def test_filled_cells_are_counted(tmp_path: Path) -> None:
    rows = _rows()
    rows[3] = ",,,,yes"
    dataset = _load(tmp_path, [HEAD, *rows], fill_missing=True)
    assert dataset.problem.encoding is not None
    assert [column.filled for column in dataset.problem.encoding.columns] == [0, 1, 0, 1]
    with pytest.raises(UserError, match=r"line 5, column 'size': an empty cell") as caught:
        _load(tmp_path, [HEAD, *rows])
    assert "--fill_missing" in caught.value.hint


def test_the_fingerprint_follows_cells_and_kinds(tmp_path: Path) -> None:
    rows = _rows()
    first = _load(tmp_path, [HEAD, *rows]).fingerprint
    assert _load(tmp_path, [HEAD, *rows]).fingerprint == first
    assert _load(tmp_path, [HEAD, *rows], columns="size=categorical").fingerprint != first
    assert _load(tmp_path, [HEAD, *rows[:-1], rows[-1].replace("a", "e")]).fingerprint != first


BAD_ROWS = {
    "ragged": ("Rome,1,a b c,2020-01-01", "line 202: 4 values; expected 5"),
    "nan": ("Rome,nan,a b c,2020-01-01,yes", "line 202, column 'size': 'nan'; expected a number"),
    "infinite": ("Rome,inf,a b c,2020-01-01,yes", "line 202, column 'size': 'inf'; expected a number"),
    "word": ("Rome,big,a b c,2020-01-01,yes", "line 202, column 'size': 'big'; expected a number"),
    "no such day": ("Rome,1,a b c,2020-02-30,yes", "line 202, column 'born': '2020-02-30'; expected a date"),
    "another date": ("Rome,1,a b c,1/2/2020,yes", "line 202, column 'born': '1/2/2020'; expected a date"),
    "no target": ("Rome,1,a b c,2020-01-01,", "line 202, column 'label': the target is empty"),
    "huge": (f"{'x' * 200_000},1,a b c,2020-01-01,yes", "not a readable CSV file (field larger than field limit"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    row, expected = BAD_ROWS[name]
    with pytest.raises(UserError) as caught:
        _load(tmp_path, [HEAD, *_rows(), row])
    assert expected in caught.value.message
    assert "table.csv" in caught.value.message


def test_mixed_kinds_are_not_guessed(tmp_path: Path) -> None:
    lines = ["a,b,label", *(f"{'unknown' if i % 3 == 0 else i},{i},{i % 2}" for i in range(60))]
    with pytest.raises(UserError, match="line 2, column 'a': 'unknown'; expected a number") as caught:
        _load(tmp_path, lines)
    assert "--columns=a=KIND" in caught.value.hint


def test_an_id_or_a_column_of_one_value_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column 'id': 200 different values in 200 rows") as caught:
        _load(tmp_path, [f"id,{HEAD}", *(f"u{i:x}x,{row}" for i, row in enumerate(_rows()))])
    assert "--columns=id=drop" in caught.value.hint
    with pytest.raises(UserError, match="column 'unit': every cell is 'kg'") as caught:
        _load(tmp_path, [f"unit,{HEAD}", *(f"kg,{row}" for row in _rows())])
    assert caught.value.hint == "--columns=unit=drop"


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UserError, match="not a readable CSV file"):
        load(DataConfig(data=str(path), target="label"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"columns": "town=drop"}, "unknown --columns name 'town'"),
        ({"columns": "label=text"}, "--columns=label=text contradicts --target=label"),
        ({"columns": "city=word"}, "unknown kind of column in --columns=city=word: 'word'"),
        ({"columns": "city=drop,size=drop,note=drop,born=drop"}, "drops every column"),
        ({"columns": "city=numeric"}, "line 2, column 'city': '"),
        ({"columns": "note=date"}, "expected a date"),
        ({"horizon": 2}, "--horizon=2 needs --window=STEPS"),
        ({"series": "city"}, "--series=city needs --window=STEPS"),
        ({"time": "born"}, "--time=born needs --window=STEPS"),
        ({"window": 3, "fill_missing": True}, "--fill_missing contradicts --window=3"),
        ({"window": 3, "series": "born", "time": "born"}, "--series=born and --time=born name the same column"),
        ({"window": 3}, "column 'city' is categorical, but --window takes columns of numbers"),
        ({"window": 3, "series": "town"}, "unknown --series column 'town'"),
        ({"window": 3, "time": "date"}, "unknown --time column 'date'"),
        ({"window": 3, "time": "city", "columns": "note=drop,born=drop"}, "--time=city needs numbers or dates"),
    ],
)
def test_flags_that_do_not_fit_are_named(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, [HEAD, *_rows()], **flags)
    assert message in caught.value.message


def test_times_that_are_no_dates_are_said_to_be_so_though_each_comes_once(tmp_path: Path) -> None:
    """As an id does; but of a column that is asked for by name it is no use to say that it looks like one."""
    rows = [f"{1 + day % 28:02}/{1 + day // 28:02}/2024 00:00,{day}" for day in range(100)]
    with pytest.raises(UserError, match="needs numbers or dates; its first cell is '01/01/2024 00:00'") as caught:
        _load(tmp_path, ["t,label", *rows], window=3, time="t")
    assert "2024-12-31" in caught.value.hint


def _series(rows: int = 100) -> list[str]:
    """Returns two shuffled series: value 1000 * series + time, and its target the same."""
    lines = [f"{t},{name},{1000 * i + t},{1000 * i + t}.5" for i, name in enumerate("ab") for t in range(rows)]
    random.Random(1).shuffle(lines)
    return ["t,place,value,y", *lines]


@pytest.mark.parametrize(("window", "horizon"), [(4, None), (6, 3)])
def test_windows_hold_what_comes_before_their_target(tmp_path: Path, window: int, horizon: int | None) -> None:
    dataset = _load(tmp_path, _series(), target="y", window=window, horizon=horizon, series="place", time="t")
    assert dataset.problem.kind == "series"
    assert dataset.problem.task == "regression"
    assert dataset.problem.input_shape == (window, 2)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part.x, LazyInputs)
        values = part.x[:][:, :, 0]
        assert (np.diff(values, axis=1) == 1).all()
        np.testing.assert_array_equal(part.x[:][:, :, 1], values + 0.5)
        np.testing.assert_array_equal(part.y[:, 0], values[:, -1] + (horizon or 1) + 0.5)


def test_no_row_that_tests_is_seen_in_training(tmp_path: Path) -> None:
    dataset = _load(tmp_path, _series(), target="y", window=4, horizon=2, series="place", time="t")
    rows = {
        name: set(part.x[:][:, :, 0].ravel()) | set(part.y[:, 0] - 0.5)
        for name, part in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
    }
    assert rows["train"] == {1000.0 * i + t for i in range(2) for t in range(70)}
    assert rows["validation"] == {1000.0 * i + t for i in range(2) for t in range(70, 85)}
    assert rows["test"] == {1000.0 * i + t for i in range(2) for t in range(85, 100)}
    mean = np.mean(sorted(rows["train"]))
    np.testing.assert_allclose(dataset.problem.feature_mean, [mean, mean + 0.5], rtol=1e-6)


def test_folds_of_windows_are_stretches_of_time(tmp_path: Path) -> None:
    lines = ["v,w", *(f"{t},{t}.5" for t in range(2000))]
    dataset = _load(tmp_path, lines, target="w", window=4)
    assert dataset.groups is not None
    first_rows = dataset.train.x[:][:, 0, 0]
    np.testing.assert_array_equal(dataset.groups, first_rows // 50)  # Ten times 4 rows and the target's.


def test_a_class_can_be_the_target_of_windows_and_words_are_no_channel(tmp_path: Path) -> None:
    lines = ["t,v,state", *(f"{t},{t % 7},{'on' if t % 7 > 3 else 'off'}" for t in range(120))]
    dataset = _load(tmp_path, lines, target="state", window=5, time="t")
    assert dataset.problem.class_names == ("off", "on")
    assert dataset.problem.input_shape == (5, 1)
    next_value = (dataset.train.x[:][:, -1, 0] + 1) % 7
    np.testing.assert_array_equal(dataset.train.y, next_value > 3)


def test_stretches_that_come_again_are_no_duplicates(tmp_path: Path) -> None:
    lines = ["v,w", *(f"{t % 7},{t % 7 / 2}" for t in range(140))]
    dataset = _load(tmp_path, lines, target="w", window=5)
    assert dataset.dropped_duplicates == 0
    assert len(dataset.train) == 98 - 5


def test_the_fingerprint_of_windows_follows_the_values(tmp_path: Path) -> None:
    lines = ["v,w", *(f"{t % 7},{t % 7 / 2}" for t in range(140))]
    first = _load(tmp_path, lines, target="w", window=5).fingerprint
    assert _load(tmp_path, [*lines[:-1], "6.5,3"], target="w", window=5).fingerprint != first
    assert _load(tmp_path, lines, target="w", window=5, horizon=2).fingerprint != first


def test_times_that_come_again_are_named(tmp_path: Path) -> None:
    lines = [line for line in _series() if not line.startswith("7,a")]
    place = next(i for i, line in enumerate(lines) if line.startswith("3,a"))
    with pytest.raises(UserError, match=r"column 't': the time '3' comes again, first on line"):
        _load(tmp_path, [*lines, lines[place]], target="y", window=4, series="place", time="t")
    with pytest.raises(UserError, match="comes again") as caught:
        _load(tmp_path, _series(), target="y", window=4, time="t", columns="place=drop")
    assert "--series" in caught.value.hint


@pytest.mark.parametrize("bad", ["nan", "", "soon"])
def test_a_bad_cell_in_a_series_is_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UserError, match=r"line 202, column 'value': .*; expected a number"):
        _load(tmp_path, [*_series(), f"100,a,{bad},1.5"], target="y", window=4, series="place", time="t")


def test_a_window_longer_than_the_file_names_file_and_flag(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"table\.csv: --window=500 and --horizon=1 take 501 rows"):
        _load(tmp_path, _series(), target="y", window=500, series="place", time="t")


CELL = st.sampled_from(["", " ", "1", "-2.5", "nan", "2024-01-01", "2024-13-01", "x", "a b c d", "é\n", '"', "\0"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL, st.sampled_from("xy")), min_size=1, max_size=80), st.booleans())
def test_any_table_is_loaded_or_refused(tmp_path: Path, rows: list[tuple[str, str, str]], fill: bool) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("a", "b", "label"), *rows])
    for kinds in ("", "a=text,b=categorical", "a=categorical,b=drop"):
        try:
            dataset = load(DataConfig(data=str(path), target="label", columns=kinds, fill_missing=fill))
        except UserError as error:
            assert "table.csv" in error.message  # noqa: PT017
        else:
            assert np.isfinite(dataset.train.x[:]).all()


def test_the_flags_of_tables_are_refused_by_other_sources() -> None:
    for flag in ("columns", "series", "time"):
        with pytest.raises(UserError, match=f"--{flag}=a=text has no meaning for --data=digits"):
            find_source(dataclasses.replace(DataConfig(), **{flag: "a=text"}))
