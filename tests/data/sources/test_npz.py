"""NumPy archives, good and bad."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load

X = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
Y = np.arange(80) % 2


class Bomb:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (exec, ("raise SystemExit('unpickled')",))


def _load(tmp_path: Path, **arrays: object) -> Dataset:
    np.savez(tmp_path / "a.npz", **arrays)
    return load(DataConfig(data=str(tmp_path / "a.npz")))


def test_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    parts = {"x_train": X[14:], "x_val": X[9:14], "x_test": X[:9], "y_train": Y[14:], "y_val": Y[9:14], "y_test": Y[:9]}
    dataset = _load(tmp_path, **parts, other=X, x_mean=X[:1], y_names=np.array(["no", "yes"]))
    np.testing.assert_array_equal(dataset.train.x, X[14:])
    np.testing.assert_array_equal(dataset.validation.x, X[9:14])
    np.testing.assert_array_equal(dataset.test.y, Y[:9])
    assert dataset.dropped_duplicates == 0


def test_what_lies_in_a_later_split_too_is_dropped_and_counted(tmp_path: Path) -> None:
    dataset = _load(tmp_path, x_train=X, y_train=Y, x_val=X[5:15], y_val=Y[5:15], x_test=X[:9], y_test=Y[:9])
    np.testing.assert_array_equal(dataset.test.x, X[:9])
    np.testing.assert_array_equal(dataset.validation.x, X[9:15])
    np.testing.assert_array_equal(dataset.train.x, X[15:])
    assert dataset.dropped_duplicates == 15 + 4  # Fifteen of the training split, four of the validation split.


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_the_validation_split_has_several_names(tmp_path: Path, name: str) -> None:
    dataset = _load(tmp_path, x_train=X[9:], y_train=Y[9:], **{f"x_{name}": X[:9], f"y_{name}": Y[:9]})
    np.testing.assert_array_equal(dataset.validation.x, X[:9])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_missing_splits_are_made(tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", x_train=X, y_train=Y)
    dataset = load(DataConfig(data=str(tmp_path / "a.npz")))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 80


@pytest.mark.parametrize("words", [np.array(["cat", "dog"])[Y], np.array([b"cat", b"dog"])[Y]])
def test_labels_may_be_words(tmp_path: Path, words: np.ndarray) -> None:
    dataset = _load(tmp_path, x_train=X, y_train=words, x_test=X[:4], y_test=words[:4])
    assert dataset.problem.class_names == ("cat", "dog")
    assert dataset.test.y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": X}, "x_train and y_train are missing"),
        ({}, "x_train and y_train are missing"),
        ({"x_train": X}, "y_train is missing"),
        ({"y_train": Y}, "x_train is missing"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "y_test is missing"),
        ({"x_train": X, "y_train": Y[:50]}, r"train: 80 inputs but labels of shape \(50,\)"),
        ({"x_train": X * np.nan, "y_train": Y}, "inputs of example 0 hold NaN"),
        ({"x_train": np.full_like(X, np.inf), "y_train": Y}, "inputs of example 0 hold NaN, infinity"),
        ({"x_train": X.astype(np.float64) * 1e300, "y_train": Y}, "a number beyond float32"),
        ({"x_train": X, "y_train": Y * 0}, "all training examples have the same label"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "there is nothing to learn from"),
        ({"x_train": X, "y_train": Y - 1}, "example 0 has label -1"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 7}, "test: example 0 has label 7; expected 0 to 1"),
        ({"x_train": X, "y_train": Y, "x_val": X[:, :2], "y_val": Y}, "validation: inputs of one example"),
        ({"x_train": X, "y_train": Y, "x_dev": X, "y_dev": Y}, "x_dev is of no split"),
        ({"X_train": X, "y_train": Y}, "X_train is of no split"),
        ({"x_train": X, "y_train": Y, "x_val": X, "y_val": Y, "x_valid": X, "y_valid": Y}, "both x_val and x_valid"),
        ({"x_train": X, "y_train": Y, "x_val": X, "y_validation": Y}, "both x_val and x_validation"),
        ({"x_train": np.array([Bomb()] * 80), "y_train": Y}, "it holds Python objects"),
        ({"x_train": X, "y_train": np.array([[1], [2, 3]] * 40, dtype=object)}, "it holds Python objects"),
    ],
)
def test_a_bad_archive_is_named_with_the_place(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    with pytest.raises(UserError, match=rf"a\.npz: .*{expected}"):
        _load(tmp_path, **arrays)


def test_objects_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, x_train=np.array([Bomb()] * 80), y_train=Y)
    assert "save plain numbers" in caught.value.hint


def _bytes(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _npy(header: str, rest: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


WHOLE = _bytes(x_train=X, y_train=Y)
ONE_ARRAY = io.BytesIO()
np.save(ONE_ARRAY, X)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:-10],
        WHOLE[:100],
        WHOLE[: len(WHOLE) // 2],
        b"PK",
        b"not an archive",
        ONE_ARRAY.getvalue(),
        pickle.dumps(Bomb()),
        _zipped({"x_train.npy": b"garbage", "y_train.npy": b"garbage"}),
        _zipped({"x_train": b"garbage", "y_train": b"garbage"}),
        _zipped(dict.fromkeys(("x_train.npy", "y_train.npy"), _npy("{'descr': '<f4', 'fortran_order': False}"))),
        _zipped(
            dict.fromkeys(
                ("x_train.npy", "y_train.npy"),
                _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }"),
            )
        ),
        _zipped(
            dict.fromkeys(
                ("x_train.npy", "y_train.npy"),
                _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000, 3), }"),
            )
        ),
        _zipped(dict.fromkeys(("x_train.npy", "y_train.npy"), _npy("(" * 110))),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz: "):
        load(DataConfig(data=str(tmp_path / "a.npz")))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=6))
def test_an_archive_with_changed_bytes_is_loaded_or_refused(tmp_path: Path, start: int, change: bytes) -> None:
    content = WHOLE[:start] + change + WHOLE[start + len(change) :]
    (tmp_path / "a.npz").write_bytes(content)
    try:
        load(DataConfig(data=str(tmp_path / "a.npz")))
    except UserError as error:
        assert "a.npz" in error.message  # noqa: PT017
