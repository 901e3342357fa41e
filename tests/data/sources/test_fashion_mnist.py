"""IDX files, written by the test from the format's description, and the real data set where it is installed."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, load
from tfday7.data.sources import fashion_mnist
from tfday7.data.sources.fashion_mnist import DEBIAN_FOLDER, FILES, read_idx

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def _write(folder: Path, examples: int = 200, tests: int = 40, suffix: str = "") -> None:
    generator = np.random.default_rng(0)
    for name, count in ((FILES[:2], examples), (FILES[2:], tests)):
        images = generator.integers(0, 256, (count, 28, 28))
        for file, array in zip(name, (images, np.arange(count) % 10), strict=True):
            content = _idx(array)
            (folder / (file + suffix)).write_bytes(gzip.compress(content) if suffix else content)


@QUICK
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)), st.booleans())
def test_an_array_comes_back_as_it_was_written(tmp_path: Path, array: np.ndarray, zipped: bool) -> None:
    path = tmp_path / ("a.gz" if zipped else "a")
    path.write_bytes(gzip.compress(_idx(array)) if zipped else _idx(array))
    read = read_idx(path)
    assert (read.shape, read.dtype) == (array.shape, np.uint8)
    np.testing.assert_array_equal(read, array)


GOOD = _idx(np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD[:-1], r"23 values for the shape \(2, 3, 4\)"),
        (GOOD + b"x", r"25 values for the shape \(2, 3, 4\)"),
        (GOOD[:3], "not an IDX file"),
        *((GOOD[:cut], "ends within its header") for cut in range(4, 16)),
        (GOOD[:16], "0 values for the shape"),
        (b"\x00\x00\x0d\x01" + b"\0" * 8, "not an IDX file of unsigned bytes"),  # 0x0d: floats.
        (b"\x00\x01" + GOOD[2:], "not an IDX file"),
        (b"\x00\x00\x08\x00" + b"\0" * 8, "not an IDX file"),
        (b"\x00\x00\x08\xff" + b"\0" * 2000, "not an IDX file"),
        (struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4) + b"\0" * 9, "9 values for the shape"),
        (b"", "not an IDX file"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content: bytes, expected: str) -> None:
    for path, stored in ((tmp_path / "a", content), (tmp_path / "a.gz", gzip.compress(content))):
        path.write_bytes(stored)
        with pytest.raises(UserError, match=f"{path.name}: .*{expected}"):
            read_idx(path)


@pytest.mark.parametrize(
    "content", [gzip.compress(GOOD, mtime=0)[:-3], gzip.compress(GOOD, mtime=0)[:15], b"no gzip", b"\x1f\x8b\x08" * 9]
)
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.gz: "):
        read_idx(tmp_path / "a.gz")


def test_a_file_that_unpacks_without_end_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "MAX_IDX_BYTES", 1000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(_idx(np.zeros((20, 20, 20)))))
    with pytest.raises(UserError, match="unpacks to more than 1,000 bytes"):
        read_idx(tmp_path / "a.gz")


@QUICK
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x00\x00\x08", GOOD[:8]]), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, start: bytes, zipped: bool) -> None:
    path = tmp_path / ("a.gz" if zipped else "a")
    path.write_bytes(start + content)
    try:
        read_idx(path)
    except UserError as error:
        assert str(path) in error.message  # noqa: PT017


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_four_files_in_a_folder_are_a_data_set(tmp_path: Path, suffix: str) -> None:
    _write(tmp_path, suffix=suffix)
    dataset = load(DataConfig(data="fashion_mnist", data_dir=str(tmp_path)))
    assert len(dataset.train) + len(dataset.validation) == 200
    assert len(dataset.test) == 40
    assert dataset.problem.input_shape == (28, 28, 1)
    assert dataset.problem.class_names[9] == "Ankle boot"
    assert dataset.preprocessing == "pixels / 255"
    assert dataset.train.x.max() == 1.0


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    _write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match=rf"{missing} \(or {missing}\.gz\) is missing"):
        load(DataConfig(data="fashion_mnist", data_dir=str(tmp_path)))


def test_a_missing_folder_is_named_with_how_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not found in .*nowhere") as caught:
        load(DataConfig(data="fashion_mnist", data_dir=str(tmp_path / "nowhere")))
    assert "dataset-fashion-mnist" in caught.value.hint


def test_images_and_labels_must_belong_together(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / FILES[1]).write_bytes(_idx(np.arange(7)))
    with pytest.raises(UserError, match="do not belong together"):
        load(DataConfig(data="fashion_mnist", data_dir=str(tmp_path)))


def test_labels_beyond_the_ten_classes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / FILES[3]).write_bytes(_idx(np.full(40, 10)))
    with pytest.raises(UserError, match="test: example 0 has label 10; expected 0 to 9"):
        load(DataConfig(data="fashion_mnist", data_dir=str(tmp_path)))


def test_kerass_cache_is_found_and_an_empty_one_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, debian = tmp_path / "home" / "datasets" / "fashion-mnist", tmp_path / "debian"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", debian)
    cache.mkdir(parents=True)
    debian.mkdir()
    _write(debian, examples=300)
    assert len(load(DataConfig(data="fashion_mnist")).train) > 200
    _write(cache, examples=100)
    assert len(load(DataConfig(data="fashion_mnist")).train) <= 100


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_data_set_has_the_published_numbers() -> None:
    dataset = load(DataConfig(data="fashion_mnist", data_dir=str(DEBIAN_FOLDER)))
    assert len(dataset.train) + len(dataset.validation) == 60_000
    assert np.bincount(dataset.test.y).tolist() == [1000] * 10
    assert np.bincount(np.concatenate([dataset.train.y, dataset.validation.y])).tolist() == [6000] * 10
    pixels = np.concatenate([dataset.train.x, dataset.validation.x])
    assert float(pixels.mean(dtype=np.float64)) == pytest.approx(0.2860, abs=1e-4)  # Known to all who normalize by it.
    assert float(pixels.std(dtype=np.float64)) == pytest.approx(0.3530, abs=1e-4)
