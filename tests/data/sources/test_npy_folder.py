"""Folders of .npy files, good and bad; they may be larger than memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load
from tfday7.data.lazy import LazyInputs

IMAGES = np.random.default_rng(0).integers(0, 256, (80, 5, 4, 3), dtype=np.uint8)
X = np.random.default_rng(0).normal(size=(80, 3))
Y = np.arange(80) % 2


class Bomb:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (exec, ("raise SystemExit('unpickled')",))


def _save(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def _load(folder: Path) -> Dataset:
    return load(DataConfig(data=str(folder)))


@pytest.mark.parametrize(
    "x", [X, X.astype(np.float32), IMAGES, X.astype(">f8"), np.asfortranarray(X), X > 0, (9 * X).astype(np.int64)]
)
def test_a_folder_is_the_same_data_as_an_archive_of_its_arrays(tmp_path: Path, x: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x_train=x, y_train=Y)
    archive, folder = _load(tmp_path / "a.npz"), _load(_save(tmp_path / "a", x_train=x, y_train=Y))
    assert folder.fingerprint == archive.fingerprint
    assert folder.preprocessing == archive.preprocessing
    assert isinstance(folder.train.x, LazyInputs)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(folder, split).x[:], getattr(archive, split).x)
        np.testing.assert_array_equal(getattr(folder, split).y, getattr(archive, split).y)


def test_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a", x_train=X, y_train=Y, x_val=X[:5] + 9, y_val=Y[:5], x_test=X[:9] - 9, y_test=Y[:9])
    dataset = _load(folder)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (80, 5, 9)
    np.testing.assert_array_equal(dataset.validation.x[:], (X[:5] + 9).astype(np.float32))
    named = _save(tmp_path / "b", x_train=X, y_train=Y, x_validation=X[:5] + 9, y_validation=Y[:5])
    np.testing.assert_array_equal(_load(named).validation.x[:], dataset.validation.x[:])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x_train": X}, r"y_train\.npy: no such file"),
        ({"y_train": Y}, r"x_train\.npy: no such file"),
        ({"x_test": X, "y_test": Y}, r"x_train\.npy: no such file"),
        ({"x_train": X, "y_train": Y, "y_val": Y}, r"x_val\.npy: no such file"),
        ({"x_train": X, "y_train": Y, "x_dev": X, "y_dev": Y}, "x_dev is of no split"),
        ({"x_train": X, "y_train": Y[:50]}, r"train: 80 inputs but labels of shape \(50,\)"),
        ({"x_train": np.where(np.arange(80)[:, None] == 7, np.nan, X), "y_train": Y}, "inputs of example 7 hold NaN"),
        ({"x_train": X * 1e300, "y_train": Y}, "a number beyond float32"),
        ({"x_train": X, "y_train": Y * np.nan}, "train: labels of example 0 hold NaN"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "there is nothing to learn from"),
        ({"x_train": X[0, 0], "y_train": Y}, r"inputs have the shape \(\)"),
        ({"x_train": X[:, 0], "y_train": Y}, r"inputs have the shape \(80,\)"),
        ({"x_train": X, "y_train": Y - 1}, "example 0 has label -1"),
        ({"x_train": X, "y_train": Y * 0}, "all training examples have the same label"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 7}, "test: example 0 has label 7"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, "test: inputs of one example have the shape"),
        ({"x_train": IMAGES, "y_train": Y, "x_test": IMAGES / 255, "y_test": Y}, "test: inputs are of type float64"),
        ({"x_train": X.astype(str), "y_train": Y}, "train: inputs are of type <U"),
        ({"x_train": X * 1j, "y_train": Y}, "inputs are of type complex128"),
        ({"x_train": X, "y_train": Y * 1j}, "labels are of type complex128"),
        ({"x_train": np.zeros(80, [("a", "f4"), ("b", "f4")]), "y_train": Y}, "expected numbers"),
        ({"x_train": np.array([Bomb()] * 80), "y_train": Y}, "not a readable .npy file"),
        ({"x_train": X, "y_train": np.array([Bomb()] * 80)}, "not a readable .npy file"),
    ],
)  # fmt: skip
def test_bad_arrays_are_named_with_the_place(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    folder = _save(tmp_path / "a", **arrays)
    with pytest.raises(UserError, match=expected) as caught:
        _load(folder)
    assert str(folder) in caught.value.message


def _npy(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


WHOLE = _npy("(80, 3)") + X.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"not an array",
        WHOLE[:60],
        WHOLE[:500],
        WHOLE[:-1],
        pickle.dumps(Bomb()),
        _npy("(1000000000000000, 3)"),
        _npy("(99999999999999999999999, 3)"),
        _npy("(-80, 3)") + bytes(960),
        _npy("(80, 3)", "'|O'") + pickle.dumps(Bomb()),
        _npy("(" * 60),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x_train", "y_train"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    folder = _save(tmp_path / "a", x_train=X, y_train=Y)
    (folder / f"{name}.npy").write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}\.npy: "):
        _load(folder)


def test_an_archive_in_place_of_an_array_is_refused(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a", x_train=X, y_train=Y)
    np.savez(tmp_path / "b.npz", x=X)
    (tmp_path / "b.npz").rename(folder / "x_train.npy")
    with pytest.raises(UserError, match=r"x_train\.npy: not a readable .npy file \(it holds an archive"):
        _load(folder)


PEAK = """
import resource, sys
import numpy as np
from tfday7.data import DataConfig, load, pipeline
from tfday7.core.frameworks import keras

def train(folder):
    dataset = load(DataConfig(data=folder))
    model = keras.Sequential([keras.layers.Flatten(input_shape=dataset.problem.input_shape), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    steps = pipeline.steps_per_epoch(dataset.train, 64)
    model.fit(pipeline.training_batches(dataset.train, 64, 0), steps_per_epoch=steps, verbose=0)
    return pipeline.predict(model, dataset.test).shape[0]

train(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
examples = train(sys.argv[2])
print(examples, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_training_from_a_file_takes_less_memory_than_the_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    small = _save(
        tmp_path / "small", x_train=generator.integers(0, 256, (500, 64, 64), np.uint8), y_train=Y.repeat(7)[:500]
    )
    images = generator.integers(0, 256, (80_000, 64, 64), dtype=np.uint8)
    large = _save(tmp_path / "large", x_train=images, y_train=np.arange(80_000) % 2)
    file_bytes = (large / "x_train.npy").stat().st_size
    assert file_bytes > 320_000_000
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(small), str(large)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    examples, growth_bytes = map(int, ended.stdout.split())
    assert examples > 11_000
    assert growth_bytes < file_bytes  # As float32 in memory it would be four times the file.
