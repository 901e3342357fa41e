"""`--data` finds a source or says which there are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig
from tfday7.data.source import SOURCES, Raw, Source, check_file, find_source


@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
def test_a_name_finds_its_source(name: str) -> None:
    assert find_source(DataConfig(data=name)) is SOURCES.get(name)


@pytest.mark.parametrize(("file", "name"), [("a.csv", "csv"), ("a.npz", "npz"), ("A.CSV", "csv")])
def test_a_suffix_finds_its_source(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text("x")
    assert find_source(DataConfig(data=str(tmp_path / file))) is SOURCES.get(name)


def test_an_unknown_name_lists_names_and_forms() -> None:
    with pytest.raises(UserError, match="unknown data set 'digit'") as caught:
        find_source(DataConfig(data="digit"))
    hint = caught.value.hint
    assert hint.startswith("did you mean digits? known: digits, fashion_mnist")
    assert "; or a file that ends in .csv or .npz" in hint
    for name in SOURCES.names():
        found = SOURCES.get(name)
        assert all(form in hint for form in (*found.suffixes, found.prefix, found.form))


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


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes sources of folders with a .jam and with a .tea file, and one with the prefix "far:", the only ones."""
    jam, tea, far = (
        Source(lambda config: Raw(np.zeros((0, 1)), np.zeros(0)), form=form, **kind)
        for form, kind in [
            ("a folder of jam", {"folder": lambda folder: any(folder.glob("*.jam")), "uses": ("image_size",)}),
            ("a folder of tea", {"folder": lambda folder: any(folder.glob("*.tea"))}),
            ("far:NAME", {"prefix": "far:"}),
        ]
    )
    monkeypatch.setattr(SOURCES, "_entries", {"digits": SOURCES.get("digits"), "jam": jam, "tea": tea, "far": far})


def _folder(path: Path, *names: str) -> str:
    path.mkdir()
    for name in names:
        (path / name).write_text("x")
    return str(path)


def test_a_folder_is_found_by_what_it_holds(kinds: None, tmp_path: Path) -> None:
    assert find_source(DataConfig(data=_folder(tmp_path / "a", "1.jam", "notes.txt"))) is SOURCES.get("jam")
    assert find_source(DataConfig(data=_folder(tmp_path / "b.csv", "1.tea"))) is SOURCES.get("tea")


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        ((), "the folder is empty", "a folder of jam; or a folder of tea"),
        ((".hidden",), "the folder is empty", "a folder of jam; or a folder of tea"),
        (("a.txt",), "the folder does not hold data of a known kind", "a folder of jam; or a folder of tea"),
        (("a.jam", "a.tea"), "the folder could be read as jam and as tea", "one kind"),
    ],
)
def test_a_folder_of_no_kind_or_of_two_is_refused(
    kinds: None, tmp_path: Path, names: tuple[str, ...], message: str, hint: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        find_source(DataConfig(data=_folder(tmp_path / "a", *names)))
    assert hint in caught.value.hint


def test_a_prefix_finds_its_source_whatever_follows(kinds: None) -> None:
    assert find_source(DataConfig(data="far:away:1.0.0")) is SOURCES.get("far")


def test_a_name_comes_before_a_folder_of_that_name(
    kinds: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _folder(tmp_path / "digits", "1.jam")
    assert find_source(DataConfig(data="digits")) is SOURCES.get("digits")
    assert find_source(DataConfig(data="./digits")) is SOURCES.get("jam")


def test_a_path_to_nothing_is_said_to_be_missing(kinds: None) -> None:
    with pytest.raises(UserError, match="--data=no/where: no such file or folder"):
        find_source(DataConfig(data="no/where"))


OPTIONAL = [field for field in dataclasses.fields(DataConfig) if field.name not in ("data", "task")]


@pytest.mark.parametrize("field", OPTIONAL, ids=lambda field: field.name)
def test_every_optional_flag_is_refused_where_it_is_not_read(field: dataclasses.Field[object]) -> None:
    value = {"str": "8", "bool": True}.get(str(field.type), 1)
    with pytest.raises(UserError, match=f"--{field.name}=.* has no meaning for --data=digits"):
        find_source(DataConfig(data="digits", **{field.name: value}))


def test_sources_name_only_flags_that_exist() -> None:
    names = {field.name for field in OPTIONAL}
    for name in SOURCES.names():
        assert set(SOURCES.get(name).uses) <= names


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
