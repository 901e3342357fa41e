"""Folders of images, good and bad, as `--data` reads them."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from absl import logging

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load
from tfday7.data.lazy import LazyInputs
from tfday7.data.source import SOURCES, Raw

LEVELS = {"dark": 40, "light": 200}
SUFFIXES = (".png", ".jpg", ".bmp", ".gif", ".JPEG")


def image(label: str, number: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    """Returns grey stripes of about the class's level, no two alike."""
    values = np.full((*size, 3), LEVELS[label], np.uint8)
    values[:, number % 4] += np.uint8(number)
    return values


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty images in two class folders."""
    for label in LEVELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(20):
            path = tmp_path / "photos" / label / f"{i}{SUFFIXES[i % len(SUFFIXES)]}"
            PIL.Image.fromarray(image(label, i)).save(path)
    return tmp_path / "photos"


def _read(folder: Path, **flags: object) -> Raw:
    return SOURCES.get("image_folder").load(DataConfig(data=str(folder), **flags))  # type: ignore[arg-type]


def _load(folder: Path, **flags: object) -> Dataset:
    return load(DataConfig(data=str(folder), **flags))  # type: ignore[arg-type]


def test_images_become_numbers_from_0_to_1_labelled_by_their_folder(photos: Path) -> None:
    raw = _read(photos)
    assert isinstance(raw.x, LazyInputs)
    assert (raw.x.shape, raw.x.dtype, raw.class_names) == ((40, 6, 8, 3), np.float32, ("dark", "light"))
    assert raw.y.tolist() == [0] * 20 + [1] * 20
    files = sorted((photos / "dark").iterdir())
    for number, path in enumerate(files):
        if path.suffix in (".png", ".bmp"):
            np.testing.assert_array_equal(raw.x[number] * 255, image("dark", int(path.stem)))
    means = np.array([raw.x[i].mean() * 255 for i in range(40)])
    np.testing.assert_allclose(means, np.where(raw.y == 0, 40, 200), atol=6)
    assert raw.preprocessing == "RGB, resized to 6 x 8 (bilinear over areas), pixels / 255"


def test_a_data_set_is_made_and_named_after_the_folder(photos: Path) -> None:
    dataset = _load(photos)
    assert (dataset.name, dataset.problem.kind, dataset.problem.input_shape) == ("photos", "image", (6, 8, 3))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 40


def test_the_second_reading_gives_what_the_first_gave(photos: Path) -> None:
    raw = _read(photos, image_size="5x4")
    first = raw.x[:]
    np.testing.assert_array_equal(raw.x[::-1], first[::-1])
    np.testing.assert_array_equal(_read(photos, image_size="5x4").x[:], first)


def test_threads_may_read_at_the_same_time(photos: Path) -> None:
    expected, shared = _read(photos).x[:], _read(photos).x
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(shared[:])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(("flags", "shape"), [({}, (6, 8, 3)), ({"image_channels": 1}, (6, 8, 1))])
def test_images_of_one_size_keep_it(photos: Path, flags: dict[str, object], shape: tuple[int, ...]) -> None:
    assert _read(photos, **flags).x.shape[1:] == shape


@pytest.mark.parametrize("flags", [{}, {"image_size": "96"}, {"image_size": "96x96"}])
def test_images_of_different_sizes_become_96_by_96(photos: Path, flags: dict[str, object]) -> None:
    PIL.Image.fromarray(image("dark", 30, (9, 9))).save(photos / "dark" / "other.png")
    raw = _read(photos, **flags)
    assert raw.x.shape == (41, 96, 96, 3)
    assert raw.x[:].shape == raw.x.shape


def test_large_images_of_one_size_become_96_by_96(tmp_path: Path) -> None:
    for label in LEVELS:
        (tmp_path / label).mkdir()
        PIL.Image.fromarray(image(label, 0, (257, 300))).save(tmp_path / label / "1.png")
    assert _read(tmp_path).x.shape == (2, 96, 96, 3)


def test_copies_fall_on_one_side(photos: Path) -> None:
    for path in list(photos.glob("*/*")):
        (path.parent / f"copy_{path.name}").write_bytes(path.read_bytes())
    dataset = _load(photos)
    sides = [{row.tobytes() for row in part.x[:]} for part in (dataset.train, dataset.validation, dataset.test)]
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 80
    assert len(set.union(*sides)) == sum(len(side) for side in sides)


def test_the_fingerprint_follows_the_content_and_not_the_place(photos: Path) -> None:
    before = _load(photos).fingerprint
    moved = photos.rename(photos.parent / "moved")
    assert _load(moved).fingerprint == before
    assert _load(moved, image_size="5").fingerprint != before
    assert _load(moved, image_channels=1).fingerprint != before
    PIL.Image.fromarray(image("dark", 99)).save(moved / "dark" / "0.png")
    assert _load(moved).fingerprint != before


def test_folders_of_splits_are_kept(photos: Path) -> None:
    for split in ("train", "val", "test"):
        (photos.parent / "split" / split).mkdir(parents=True)
    for label in LEVELS:
        for i, path in enumerate(sorted((photos / label).iterdir())):
            split = ("val", "test")[i] if i < 2 else "train"
            target = photos.parent / "split" / split / label / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
    dataset = _load(photos.parent / "split")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (36, 2, 2)
    assert dataset.validation.y.tolist() == [0, 1]


BAD = {
    "cut.png": lambda whole: whole[: len(whole) // 2],
    "empty.png": lambda whole: b"",
    "text.png": lambda whole: b"no image",
    "notes.txt": lambda whole: b"no image",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_and_refused(photos: Path, name: str) -> None:
    (photos / "dark" / name).write_bytes(BAD[name]((photos / "dark" / "0.png").read_bytes()))
    with pytest.raises(UserError, match=rf"photos: 1 of 41 files cannot be used: dark/{name}: \w") as caught:
        _load(photos)
    assert "--skip_bad_files" in caught.value.hint


def test_bad_files_are_skipped_counted_and_recorded_when_that_was_asked_for(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = _load(photos)
    warnings: list[str] = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    for name, change in BAD.items():
        (photos / "dark" / name).write_bytes(change((photos / "dark" / "0.png").read_bytes()))
    dataset = _load(photos, skip_bad_files=True)
    assert dataset.fingerprint == clean.fingerprint
    assert {file for file, reason in dataset.skipped if reason} == {f"dark/{name}" for name in BAD}
    (warning,) = warnings
    assert "4 of 44 files were skipped" in warning
    assert "dark/cut.png" in warning


def test_many_bad_files_are_counted_and_five_are_named(photos: Path) -> None:
    for i in range(12):
        (photos / "dark" / f"bad{i}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"12 of 52 files.*; and 7 more"):
        _load(photos)


def test_one_image_in_two_classes_is_a_mistake_in_the_labels(photos: Path) -> None:
    (photos / "light" / "wrong.png").write_bytes((photos / "dark" / "0.png").read_bytes())
    with pytest.raises(UserError, match=r"2 of 41 files.*dark/0\.png: the same image is in other classes too"):
        _load(photos)
    raw = _read(photos, skip_bad_files=True)
    assert {file for file, _ in raw.skipped} == {"dark/0.png", "light/wrong.png"}
    assert len(raw.y) == 39


def test_the_content_decides_and_not_the_suffix(photos: Path) -> None:
    (photos / "dark" / "0.png").rename(photos / "dark" / "really_a_png.jpg")
    (photos / "dark" / "5.png").rename(photos / "dark" / "no_suffix")
    assert len(_read(photos).y) == 40


def _only_empty(photos: Path) -> None:
    (photos / "empty").mkdir()


def _only_bad(photos: Path) -> None:
    (photos / "empty").mkdir()
    (photos / "empty" / "1.png").write_bytes(b"no image")


@pytest.mark.parametrize("change", [_only_empty, _only_bad])
def test_a_class_without_images_is_refused(photos: Path, change: object) -> None:
    change(photos)  # type: ignore[operator]
    with pytest.raises(UserError, match="the class folder 'empty' has no image to train on"):
        _load(photos, skip_bad_files=True)


def test_one_class_is_nothing_to_learn(photos: Path) -> None:
    for path in (photos / "light").iterdir():
        path.unlink()
    (photos / "light").rmdir()
    with pytest.raises(UserError, match="all training examples have the same label"):
        _load(photos)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("test/dark/",), "the test folder has no image"),
        (("test/bright/1.png",), "test/bright/1.png is of a class that the training split does not have"),
    ],
)
def test_a_split_without_images_or_with_other_classes_is_refused(
    photos: Path, names: tuple[str, ...], message: str
) -> None:
    root = photos.parent / "split"
    root.mkdir()
    photos.rename(root / "train")
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True)
        if not name.endswith("/"):
            PIL.Image.fromarray(image("dark", 50)).save(path)
    with pytest.raises(UserError, match=message):
        _load(root)


def test_a_file_that_disappears_while_training_is_named(photos: Path) -> None:
    raw = _read(photos)
    (photos / "dark" / "0.png").unlink()
    with pytest.raises(UserError, match=r"dark/0\.png: it has changed and cannot be read any more"):
        raw.x[:]


def test_loading_images_needs_no_tensorflow(photos: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom tfday7.data import DataConfig, load\n"
        f"load(DataConfig(data={str(photos)!r}))\nassert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
