"""Test vectors: written, read, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.exporting import vectors
from tfday7.exporting.vectors import Vectors


def test_they_come_back_as_they_were_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    given = Vectors(np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((2, 4), np.float32))
    for name in ("a.npz", "b.npz"):
        vectors.write(tmp_path / name, given)
    found = vectors.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.raw, given.raw)
    np.testing.assert_array_equal(found.keras, given.keras)
    assert len(found) == 2
    assert vectors.is_one(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_large_examples_are_fewer() -> None:
    assert vectors.fitting(1000, 100) == 64
    assert vectors.fitting(10, 100) == 10
    assert vectors.fitting(1000, 2**20) == 4
    assert vectors.fitting(1000, 2**30) == 1


def test_what_is_no_file_of_vectors_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "rubbish.npz").write_bytes(b"PK\x03\x04 rubbish")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    np.savez(tmp_path / "uneven.npz", raw=np.ones((3, 1), np.float32), keras=np.ones((2, 1), np.float32))
    np.savez(tmp_path / "objects.npz", raw=np.array([None]), keras=np.ones((1, 1), np.float32))
    np.savez(tmp_path / "nan.npz", raw=np.full((1, 1), np.nan, np.float32), keras=np.ones((1, 1), np.float32))
    np.savez(tmp_path / "single.npz", raw=np.float32(1), keras=np.float32(1))
    np.save(tmp_path / "array.npy", np.ones((1, 1), np.float32))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    vectors.write(tmp_path / "flipped.npz", Vectors(np.ones((9, 9), np.float32), np.ones((9, 1), np.float32)))
    content = bytearray((tmp_path / "flipped.npz").read_bytes())
    content[60:90] = b"\xff" * 30
    (tmp_path / "flipped.npz").write_bytes(content)
    bad = ("nan", "rubbish", "other", "uneven", "objects", "single", "array", "flipped", "missing")
    for name in bad:
        with pytest.raises(UserError, match=rf"{name}\.npz"):
            vectors.read(tmp_path / f"{name}.npz")
        assert not vectors.is_one(tmp_path / f"{name}.npz")
