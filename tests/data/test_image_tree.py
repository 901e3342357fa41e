"""What counts in a folder of class folders, and what is a bad file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.data.image_tree import MAX_FILE_BYTES, ImageTree, holds_images, read_tree


def _tree(root: Path, *names: str) -> ImageTree:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(b"x")
    return read_tree(root)


def _problems(tree: ImageTree) -> dict[str, str]:
    return {file.name: file.problem for file in tree.files if file.problem}


def test_class_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "b/1.png", "a/2.png", "a/10.png", "C/1.png", "10/1.png", "9/1.png")
    assert tree.class_names == ("10", "9", "C", "a", "b")
    assert tree.splits == ("train",)
    assert [(file.label, file.name) for file in tree.files][-3:] == [
        ("a", "a/10.png"),
        ("a", "a/2.png"),
        ("b", "b/1.png"),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_folders_called_like_splits_are_splits(tmp_path: Path, name: str) -> None:
    tree = _tree(tmp_path, "train/a/1.png", "train/b/1.png", f"{name}/a/2.png", "test/b/3.png")
    assert set(tree.splits) == {"train", "validation", "test"}
    assert {(file.split, file.label) for file in tree.files} == {
        ("train", "a"), ("train", "b"), ("validation", "a"), ("test", "b"),
    }  # fmt: skip


def test_train_is_a_class_beside_other_vehicles(tmp_path: Path) -> None:
    assert _tree(tmp_path, "train/1.png", "bus/1.png", "car/1.png").class_names == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/1.png", "cat/1.png"), "cat beside train"),
        (("val/a/1.png", "validation/a/1.png", "train/a/1.png"), "both val and validation are the validation split"),
        (("test/a/1.png",), "there is no folder train beside test"),
        (("caf\u00e9/1.png", "cafe\u0301/2.png"), "two folders are called 'caf\u00e9'"),
    ],
)
def test_a_layout_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _tree(tmp_path, *names)


def test_a_class_has_one_name_however_its_accents_are_encoded(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "train/caf\u00e9/1.png", "train/b/1.png", "test/cafe\u0301/1.png")
    assert [file.label for file in tree.files if file.split == "test"] == ["caf\u00e9"]


def test_names_that_are_no_text_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff.png")).write_bytes(b"x")
    assert [file.name for file in read_tree(tmp_path).files] == [r"a/\xff.png"]


def test_hidden_files_and_leavings_of_file_managers_do_not_count(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", ".git/x.png", "a/.cache/1.png", "b/1.png", "README.md"
    )
    assert [file.name for file in tree.files] == ["a/1.png", "b/1.png"]
    assert tree.class_names == ("a", "b")


def test_files_count_at_any_depth_and_whatever_their_suffix(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "a/x/y/1.PNG", "a/2.JpEg", "a/3", "a/notes.txt")
    assert {file.name for file in tree.files} == {"a/x/y/1.PNG", "a/2.JpEg", "a/3", "a/notes.txt"}


def test_images_outside_the_class_folders_are_bad_files(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "train/a/1.png", "train/2.png", "3.jpg", "train/b/1.png")
    assert set(_problems(tree)) == {"train/2.png", "3.jpg"}
    assert all("outside the class folders" in problem for problem in _problems(tree).values())


def test_links_count_inside_the_folder_and_are_bad_files_otherwise(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    _tree(root, "a/1.png", "b/1.png")
    (tmp_path / "secret.png").write_bytes(b"x")
    (root / "a" / "inside.png").symlink_to("../b/1.png")
    (root / "a" / "leaving.png").symlink_to("../../secret.png")
    (root / "a" / "dangling.png").symlink_to("nothing.png")
    (root / "a" / "loop.png").symlink_to("loop.png")
    (root / "a" / "up").symlink_to("..")
    (root / "c").symlink_to("a")
    problems = _problems(read_tree(root))
    assert "a/inside.png" not in problems
    assert "leaves the folder" in problems["a/leaving.png"]
    assert "No such file" in problems["a/dangling.png"]
    assert "cannot be read" in problems["a/loop.png"]
    assert "link to a folder" in problems["a/up"]
    assert "link to a folder" in problems["c"]


def test_a_link_to_the_whole_folder_is_the_folder(tmp_path: Path) -> None:
    _tree(tmp_path / "photos", "a/1.png")
    (tmp_path / "link").symlink_to("photos")
    assert holds_images(tmp_path / "link")


def test_empty_files_huge_files_and_pipes_are_bad_files(tmp_path: Path) -> None:
    _tree(tmp_path, "a/1.png")
    (tmp_path / "a" / "empty.png").write_bytes(b"")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with (tmp_path / "a" / "huge.png").open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    problems = _problems(read_tree(tmp_path))
    assert problems["a/empty.png"] == "it is empty"
    assert problems["a/pipe.png"] == "it is no regular file"
    assert "more than" in problems["a/huge.png"]


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        (("a/1.png",), True),
        (("train/a/1.JPG",), True),
        (("1.png",), False),
        (("a/1.txt",), False),
        (("a/.1.png",), False),
    ],
)
def test_a_folder_holds_images_when_a_folder_in_it_has_a_file_named_like_one(
    tmp_path: Path, names: tuple[str, ...], holds: bool
) -> None:
    _tree(tmp_path, *names)
    assert holds_images(tmp_path) == holds
