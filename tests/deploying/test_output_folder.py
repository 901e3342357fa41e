"""Folders appear whole, and never in place of something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.deploying import output_folder


def test_files_lie_in_their_folders_and_an_earlier_folder_is_gone(tmp_path: Path) -> None:
    output_folder.write(tmp_path / "out", {"old.txt": "old"})
    names = output_folder.write(tmp_path / "out", {"b/c.bin": b"\0\1", "a.txt": "类"})
    assert names == ["a.txt", "b/c.bin"]
    assert (tmp_path / "out" / "b" / "c.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "out" / "a.txt").read_text(encoding="utf-8") == "类"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b", "c.bin", "out"]


def check(folder: Path, name: str = "mine", overwrite: bool = False) -> None:
    names = ("v/bundle.json", "model.cc", "labels.h")
    output_folder.check_replaceable(folder, "v/bundle.json", "model.cc", name, overwrite, names)


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, entries in (("empty", ()), ("full", ("x",)), ("half", ("v/bundle.json",)), ("other", ("model.cc",))):
        (tmp_path / name / "v").mkdir(parents=True)
        for entry in entries:
            (tmp_path / name / entry).write_text('{"name": "mine"}')
    (tmp_path / "empty" / "v").rmdir()
    for name in ("file", "full", "half", "other"):
        with pytest.raises(UserError) as error:
            check(tmp_path / name, overwrite=True)
        assert "--output_dir" in error.value.hint
    for name in ("empty", "none"):
        check(tmp_path / name)


def test_a_bundle_of_another_artefact_is_replaced_only_when_asked(tmp_path: Path) -> None:
    output_folder.write(tmp_path / "out", {"v/bundle.json": '{"name": "theirs"}', "model.cc": ""})
    check(tmp_path / "out", "theirs")
    with pytest.raises(UserError, match="holds the bundle of 'theirs', not of 'mine'") as error:
        check(tmp_path / "out")
    assert "--overwrite" in error.value.hint
    check(tmp_path / "out", overwrite=True)


def test_what_was_added_to_a_bundle_goes_only_when_asked(tmp_path: Path) -> None:
    bundle = {"v/bundle.json": '{"name": "mine"}', "model.cc": "", "labels.h": ""}
    output_folder.write(tmp_path / "out", bundle)
    check(tmp_path / "out")
    output_folder.write(tmp_path / "out", {**bundle, **dict.fromkeys(("v/a\n.cc", "CMakeLists.txt", "s/b", "z"), "x")})
    with pytest.raises(UserError) as error:
        check(tmp_path / "out")
    assert error.value.message.endswith("that no deployment made (CMakeLists.txt, s/b, v/a .cc and 1 more)")
    assert error.value.hint == (
        "move them, choose another folder with --output_dir=FOLDER, or let them go with --overwrite"
    )
    check(tmp_path / "out", overwrite=True)


def test_a_link_that_was_added_is_seen(tmp_path: Path) -> None:
    output_folder.write(tmp_path / "out", {"v/bundle.json": '{"name": "mine"}', "model.cc": ""})
    (tmp_path / "out" / "board").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"no deployment made \(board\)"):
        check(tmp_path / "out")


def test_a_write_that_fails_leaves_the_earlier_folder(tmp_path: Path) -> None:
    output_folder.write(tmp_path / "out", {"a": "first"})
    with pytest.raises(UserError):
        output_folder.write(tmp_path / "out", {"a": "second", "a/b": "in a file"})
    assert (tmp_path / "out" / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
