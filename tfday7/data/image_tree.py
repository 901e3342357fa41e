"""Which files a folder of class folders holds, and which of them can be used at all, before any is decoded.

    photos/cat/1.jpg   photos/dog/2.png                          one set, to be split
    photos/train/cat/1.jpg   photos/val/...   photos/test/...    splits of its own

Hidden files, and what file managers leave behind, do not count. A link to a file counts when it stays in the folder;
links to folders, and files that are no images, are bad files, never silently left out.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tfday7.core.errors import UserError
from tfday7.data.source import SPLITS

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
LEFT_BEHIND = {"thumbs.db", "desktop.ini"}
MAX_FILE_BYTES = 250_000_000  # 50 million pixels of five bytes.


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A file below the folder.

    Attributes:
        split: "train", "validation" or "test".
        label: its class folder's name.
        name: its path below the folder, to be shown.
        path: where it is.
        problem: why it cannot be used; empty when it may be.
    """

    split: str
    label: str
    name: str
    path: Path
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class ImageTree:
    """What a folder holds.

    Attributes:
        files: of all class folders, and the images that lie outside.
        splits: those that the folder brings, "train" always among them.
        class_names: the class folders of the training split, sorted.
    """

    files: list[ImageFile]
    splits: tuple[str, ...]
    class_names: tuple[str, ...]


def holds_images(folder: Path) -> bool:
    """Returns whether a folder below this one has a file that is named like an image."""
    return any(
        name.lower().endswith(SUFFIXES) and not name.startswith(".")
        for below in _folders(folder)
        for _, _, names in os.walk(below)
        for name in names
    )


def read_tree(root: Path) -> ImageTree:
    """Lists a folder, everything in the order of its name.

    Raises:
        UserError: splits and classes side by side, a split twice, no training split, or class folders of one name.
    """
    splits = _splits(root)
    found = [*_outside(root, root)] if root not in splits.values() else []
    classes: dict[str, list[str]] = {}
    for split, folder in splits.items():
        found += _outside(root, folder)
        classes[split] = []
        for path in _folders(folder):
            label = shown(unicodedata.normalize("NFC", path.name))
            if label in classes[split]:
                raise UserError(f"{root}: two folders are called {label!r}; their names differ in their bytes alone")
            classes[split].append(label)
            found += (_file(root, split, label, below) for below in _walk(path))
    return ImageTree(found, tuple(splits), tuple(sorted(classes["train"])))


def shown(name: str) -> str:
    """Returns a file's name as text that can be printed and written; bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _splits(root: Path) -> dict[str, Path]:
    """Returns the folders of the splits, or the folder itself as the one to be split.

    "train" may be a class too, beside "bus" and "car": it is a split when there are folders in it.
    """
    splits: dict[str, Path] = {}
    for folder in _folders(root):
        split = SPLITS.get(folder.name.lower())
        if split and _folders(folder):
            if split in splits:
                raise UserError(f"{root}: both {splits[split].name} and {folder.name} are the {split} split")
            splits[split] = folder
    if not splits:
        return {"train": root}
    others = [shown(folder.name) for folder in _folders(root) if folder not in splits.values()]
    if others:
        raise UserError(
            f"{root}: {', '.join(others[:5])} beside {', '.join(folder.name for folder in splits.values())}",
            "expected class folders alone, or class folders in the folders train, validation and test alone",
        )
    if "train" not in splits:
        raise UserError(
            f"{root}: there is no folder train beside {', '.join(folder.name for folder in splits.values())}"
        )
    return splits


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_visible(path.name) and path.is_dir())


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in LEFT_BEHIND


def _walk(folder: Path) -> Iterator[Path]:
    """Yields what is not a folder in a class folder, at any depth, and links to folders."""
    if folder.is_symlink():
        yield folder
        return
    for path in sorted(path for path in folder.iterdir() if _is_visible(path.name)):
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _outside(root: Path, folder: Path) -> Iterator[ImageFile]:
    """Yields the images beside class folders; other files there, such as a licence, are nobody's examples."""
    for path in sorted(folder.iterdir()):
        if _is_visible(path.name) and path.name.lower().endswith(SUFFIXES) and not path.is_dir():
            yield ImageFile("train", "", shown(str(path.relative_to(root))), path, "it lies outside the class folders")


def _file(root: Path, split: str, label: str, path: Path) -> ImageFile:
    return ImageFile(split, label, shown(str(path.relative_to(root))), path, _problem(root, path))


def _problem(root: Path, path: Path) -> str:
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "it is a link that leaves the folder"
        status = path.stat()
    except (OSError, RuntimeError) as error:  # Path.resolve raises RuntimeError for a link to itself.
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(status.st_mode):
        return "it is a link to a folder"
    if not stat.S_ISREG(status.st_mode):  # Reading a pipe would wait for ever.
        return "it is no regular file"
    if status.st_size == 0:
        return "it is empty"
    return f"it has more than {MAX_FILE_BYTES:,} bytes" if status.st_size > MAX_FILE_BYTES else ""
