"""`--data` finds a source or says which there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig
from tfday7.data.source import SOURCES, check_file, find_source


@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
def test_a_name_finds_its_source(name: str) -> None:
    assert find_source(DataConfig(data=name)) is SOURCES.get(name)


@pytest.mark.parametrize(("file", "name"), [("a.csv", "csv"), ("a.npz", "npz"), ("A.CSV", "csv")])
def test_a_suffix_finds_its_source(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text("x")
    assert find_source(DataConfig(data=str(tmp_path / file))) is SOURCES.get(name)


def test_an_unknown_name_lists_names_and_suffixes() -> None:
    with pytest.raises(UserError, match="unknown data set 'digit'") as caught:
        find_source(DataConfig(data="digit"))
    assert caught.value.hint == (
        "did you mean digits? known: digits, fashion_mnist, stdlib_text; or a file that ends in .csv or .npz"
    )


@pytest.mark.parametrize("data", ["csv", "npz", "a.txt", "", ".csv", "x" * 400])
def test_what_is_neither_name_nor_file_is_unknown(data: str) -> None:
    with pytest.raises(UserError, match="unknown data set"):
        find_source(DataConfig(data=data))


@pytest.mark.parametrize(
    ("config", "flag"),
    [
        ({"data": "digits", "target": "y"}, "--target=y"),
        ({"data": "digits", "data_dir": "/tmp"}, "--data_dir=/tmp"),  # noqa: S108
        ({"data": "fashion_mnist", "target": "y"}, "--target=y"),
    ],
)
def test_a_flag_that_the_source_does_not_read_is_named_with_it(config: dict[str, str], flag: str) -> None:
    with pytest.raises(UserError, match=f"{flag} has no meaning for --data={config['data']}"):
        find_source(DataConfig(**config))


def test_files_that_cannot_be_data_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder.csv").mkdir()
    for name, reason in [
        ("missing.csv", "no such file"),
        ("empty.csv", "the file is empty"),
        ("folder.csv", "not a file"),
        ("empty.csv/below.csv", "no such file"),
        ("x" * 300 + ".csv", "File name too long"),
    ]:
        with pytest.raises(UserError, match=f"{name}: .*{reason}"):
            check_file(str(tmp_path / name))
