"""CSV files, good and bad."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, load
from tfday7.data.source import SOURCES, Raw


def _read(tmp_path: Path, content: str | bytes, target: str = "t") -> Raw:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SOURCES.get("csv").load(DataConfig(data=str(path), target=target))


def test_columns_keep_their_order_around_the_target(tmp_path: Path) -> None:
    raw = _read(tmp_path, "a,t,b\n1,10,2\n3,20,4\n")
    assert raw.x.tolist() == [[1, 2], [3, 4]]
    assert raw.y.tolist() == [10, 20]
    assert raw.preprocessing == "the columns in this order (a, b)"
    wide = ",".join(f"c{number}" for number in range(5000))
    said = _read(tmp_path, f"{wide},t\n{'1,' * 5000}2\n{'2,' * 5000}3\n").preprocessing
    assert said.startswith("the columns in this order (c0, c1, ")
    assert said.endswith(", c99, and 4900 more)")


def test_several_targets_are_columns_of_numbers_in_the_order_given(tmp_path: Path) -> None:
    raw = _read(tmp_path, "wet,a,cold\n0,1.5,1\n1,2,1\n", target="cold, wet")
    assert raw.x.tolist() == [[1.5], [2.0]]
    assert raw.y.tolist() == [[1, 0], [1, 1]]
    assert raw.class_names == ("cold", "wet")
    assert _read(tmp_path, "u,a,v\n0.5,1,1\n1,2,1\n", target="u,v").y.tolist() == [[0.5, 1.0], [1.0, 1.0]]


def test_with_words_among_them_each_target_is_one_of_its_own(tmp_path: Path) -> None:
    raw = _read(tmp_path, "a,b,c\n1,2,red\n3,4.5,blue\n", target="c,b")
    assert isinstance(raw.y, dict)
    assert {name: values.tolist() for name, values in raw.y.items()} == {"c": ["red", "blue"], "b": [2.0, 4.5]}


def test_a_column_whose_name_holds_a_comma_is_one_target(tmp_path: Path) -> None:
    raw = _read(tmp_path, '"a,b",a,b\n1,2,3\n', target="a,b")
    assert (raw.x.tolist(), raw.y.tolist(), raw.class_names) == ([[2.0, 3.0]], [1], ())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a,bb", "unknown --target column 'bb'"),
        ("a,a", "names a column more than once"),
        ("a,b,c", "names every column"),
        ("a,", "unknown --target column ''"),
    ],
)
def test_targets_that_cannot_be_several_are_refused(tmp_path: Path, target: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        _read(tmp_path, "a,b,c\n1,2,red\n3,4,blue\n", target=target)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,t\n1,2\n",  # A byte-order mark, as spreadsheets write it.
        b"a,t\r\n1,2\r\n",
        b'"a","t"\n"1","2"\n',
        b" a , t \n 1 , 2 \n",
        b"a,t\n\n1,2\n\n",
        b"a,t\n1,2",
    ],
)
def test_ways_to_write_the_same_table(tmp_path: Path, content: bytes) -> None:
    raw = _read(tmp_path, content)
    assert (raw.x.tolist(), raw.y.tolist()) == ([[1.0]], [2])


def test_quoted_labels_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    raw = _read(tmp_path, 'a,t\n1,"x, y"\n2,"say ""hi"""\n3,"two\nlines"\n')
    assert raw.y.tolist() == ["x, y", 'say "hi"', "two\nlines"]


@pytest.mark.parametrize(
    ("header", "expected", "hint"),
    [
        (
            ",a,t",
            r"column 1 has no name \(pandas writes its index so\)$",
            "name it in the header line, or .*index=False",
        ),
        ("a, ,t", "column 2 has no name$", "name it in the header line$"),
        (",,t", "column 1 has no name", "name it"),
    ],
)
def test_a_column_without_a_name_is_refused(tmp_path: Path, header: str, expected: str, hint: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        _read(tmp_path, f"{header}\n0,2,3\n1,5,6\n")
    assert re.match(hint, caught.value.hint or "")


@pytest.mark.parametrize(
    ("targets", "kind", "task"),
    [
        (["0", "1", "2"], "i", "classification"),
        (["0.5", "1", "2"], "f", "regression"),
        (["cat", "dog", "1"], "U", "classification"),
        (["1_1", "1_2", "1_3"], "U", "classification"),  # Python would read 11, 12 and 13.
        (["1e3", "2", "3"], "f", "regression"),
        ([str(10**25), str(10**25 + 10**20), "7"], "f", "regression"),  # Beyond int64.
        ([str(-(2**63)), str(2**63 - 1), "0"], "i", ""),
    ],
)
def test_the_targets_type_follows_its_values(tmp_path: Path, targets: list[str], kind: str, task: str) -> None:
    rows = "".join(f"{i},{targets[i % 3]}\n" for i in range(90))
    raw = _read(tmp_path, "a,t\n" + rows)
    assert raw.y.dtype.kind == kind
    if kind != "U":
        assert raw.y.tolist()[:3] == [float(text) if kind == "f" else int(text) for text in targets]
    if task:
        config = DataConfig(data=str(tmp_path / "table.csv"), target="t")
        assert load(config).problem.task == task


@pytest.mark.parametrize("task", ["auto", "regression"])
@pytest.mark.parametrize("target", ["price", "price,city"])
def test_a_word_in_a_target_of_numbers_is_a_mistake_with_its_place_unless_they_are_classes(
    tmp_path: Path, target: str, task: str
) -> None:
    path = tmp_path / "table.csv"
    rows = [f"{i},{'NA' if i == 7 else i + 0.5},{'Rome' if i % 2 else 'Oslo'}" for i in range(50)]
    path.write_text("\n".join(["a,price,city", *rows]), encoding="utf-8")
    config = DataConfig(data=str(path), target=target, task=task)
    with pytest.raises(UserError, match=r"table\.csv, line 9, column 'price': 'NA'; expected a number") as caught:
        load(config)
    # A task is that of all targets: for one of several, `--task=classification` would refuse the prices.
    assert ("price_0.5" if "," in target else "--task=classification") in caught.value.hint
    classes = SOURCES.get("csv").load(DataConfig(data=str(path), target="price", task="classification"))
    assert (classes.y.dtype.kind, len(set(classes.y.tolist()))) == ("U", 50)


def test_classes_may_be_called_by_some_numbers(tmp_path: Path) -> None:
    assert _read(tmp_path, "a,t\n1,1\n2,low\n3,high\n").y.tolist() == ["1", "low", "high"]


def test_whole_numbers_that_hardly_repeat_are_values(tmp_path: Path) -> None:
    _read(tmp_path, "a,t\n" + "".join(f"{i % 7},{20_000 + 13 * i}\n" for i in range(100)))
    dataset = load(DataConfig(data=str(tmp_path / "table.csv"), target="t"))
    assert dataset.problem.task == "regression"
    as_classes = DataConfig(data=str(tmp_path / "table.csv"), target="t", task="classification")
    assert load(as_classes).problem.outputs == 20_000 + 13 * 99 + 1


@pytest.mark.parametrize(
    ("content", "target", "expected"),
    [
        ("a,t\n1,2\n,3\n", "t", "line 3, column 'a': an empty cell; expected a number"),
        ("a,t\n1,2\n3,\n", "t", "line 3, column 't': the target is empty"),
        ("a,t\n\n1,2\nred,3\n", "t", "line 4, column 'a': 'red'; expected a number"),
        ('a,b,t\n1,2,"x\ny"\n3,oh,z\n', "t", "line 4, column 'b': 'oh'; expected a number"),
        ("a,t\nnan,2\n", "t", "line 2, column 'a': 'nan'; expected a number"),
        ("a,t\n-inf,2\n", "t", "line 2, column 'a': '-inf'; expected a number"),
        ("a,t\n1e39,2\n", "t", "line 2, column 'a': '1e39'; expected a number"),
        ("a,t\n1_000,2\n5,3\n", "t", "line 2, column 'a': '1_000'; expected a number"),
        (f"a,t\n{'9' * 5000},2\n", "t", "line 2, column 'a'"),
        ("a,t\n1,2,3\n", "t", "line 2: 3 values; expected 2 as in the header"),
        ("a,t\n1,2\n3\n", "t", "line 3: 1 values; expected 2 as in the header"),
        ("a,a,t\n1,2,3\n", "t", "the header names a more than once"),
        ("a,t\n", "t", "2 columns and 0 rows"),
        ("t\n1\n", "t", "1 columns and 1 rows"),
        ("a;t\n1;2\n", "t", "1 columns and 1 rows"),
        ("a,t\n1,2\n", "", "needs --target=COLUMN"),
        ('a,t\n1,"2\n', "t", "not a readable CSV file"),
        (b"a,t\n\xff\xfe,2\n", "t", "not a readable CSV file"),
        ("a,t\n1,2\n".encode("utf-16"), "t", "not a readable CSV file"),
        ("a,t\n" + "x" * 200_000 + ",2\n", "t", "not a readable CSV file"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path: Path, content: str | bytes, target: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        _read(tmp_path, content, target)
    assert caught.value.message.removeprefix("--data=").startswith(str(tmp_path / "table.csv"))
    assert expected in caught.value.message


def test_an_unknown_target_lists_the_columns_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown --target column 'prize'") as caught:
        _read(tmp_path, "size,price\n1,2\n", target="prize")
    assert caught.value.hint == "did you mean price? known: price, size"


def test_a_target_that_is_not_finite_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{i},{'nan' if i == 7 else i + 0.5}\n" for i in range(50))
    _read(tmp_path, "a,t\n" + rows)
    with pytest.raises(UserError, match=r"table\.csv: train: labels of example 7 hold NaN"):
        load(DataConfig(data=str(tmp_path / "table.csv"), target="t"))


QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(st.binary(min_size=1, max_size=80) | st.text('at,\n"1.e_-\r; \0', min_size=1, max_size=60).map(str.encode))
def test_any_bytes_are_loaded_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    for target in ("t", "a"):
        try:
            load(DataConfig(data=str(tmp_path / "table.csv"), target=target))
        except UserError as error:
            assert "table.csv" in error.message or "column" in error.message  # noqa: PT017


@QUICK
@given(
    st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-50, 50)), min_size=1)
)
def test_any_table_comes_back_as_it_was_written(tmp_path: Path, rows: list[tuple[float, int]]) -> None:
    raw = _read(tmp_path, "a,t\n" + "".join(f"{value!r},{label}\n" for value, label in rows))
    np.testing.assert_array_equal(raw.x[:, 0], [value for value, _ in rows])
    assert raw.y.tolist() == [label for _, label in rows]
