"""keras:NAME reads what Keras's own loaders read, from the same files, and runs nothing in them."""

from __future__ import annotations

import importlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load

X = np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8)
Y = np.arange(60) % 10
PLACES = ["", "cifar-10-batches-py-target", "cifar-10-batches-py-target_extracted"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Keras's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def _load(name: str) -> Dataset:
    return load(DataConfig(data=f"keras:{name}"))


# Pickles as Python 2 and NumPy 1 write them, opcode by opcode: CIFAR's files are from 2009.


def _text(value: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(value)) + value


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _array(values: np.ndarray, kind: bytes = b"u1") -> bytes:
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + _int(0) + b"t" + _text(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + _text(kind) + _int(0) + _int(1) + b"tR("
    dtype += _int(3) + _text(b"|") + b"NNN" + _int(-1) + _int(-1) + _int(0) + b"tb"
    shape = b"(" + b"".join(map(_int, values.shape)) + b"t"
    return start + b"(" + _int(1) + shape + dtype + b"\x89" + _text(values.tobytes()) + b"tb"


def _list(values: Any) -> bytes:
    return b"](" + b"".join(_text(value) if isinstance(value, bytes) else _int(int(value)) for value in values) + b"e"


def _pickle(**entries: bytes) -> bytes:
    return b"\x80\x02}(" + b"".join(_text(key.encode()) + value for key, value in entries.items()) + b"u."


def _cifar10(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(5):
        part = slice(10 * i, 10 * i + 10)
        (folder / f"data_batch_{i + 1}").write_bytes(_pickle(data=_array(X[part]), labels=_list(Y[part])))
    (folder / "test_batch").write_bytes(_pickle(data=_array(X[50:]), labels=_list(Y[50:])))
    names = [f"class {i}".encode() for i in range(10)]
    (folder / "batches.meta").write_bytes(_pickle(label_names=_list(names), num_vis=_int(3072)))
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_cifar_10_is_what_kerass_own_reader_reads(cache: Path, place: str) -> None:
    folder = _cifar10(cache / place / "cifar-10-batches-py")
    dataset = _load("cifar10")
    theirs, labels = importlib.import_module("keras.src.datasets.cifar").load_batch(str(folder / "test_batch"))
    np.testing.assert_array_equal(dataset.test.x[:], np.transpose(theirs, (0, 2, 3, 1)) / np.float32(255))
    np.testing.assert_array_equal(dataset.test.y, labels)
    assert len(dataset.train) + len(dataset.validation) == 50
    assert dataset.problem.class_names == tuple(f"class {i}" for i in range(10))
    assert (dataset.problem.input_shape, dataset.preprocessing) == ((32, 32, 3), "pixels / 255")


def test_cifar_100_has_its_fine_labels(cache: Path) -> None:
    folder = cache / "cifar-100-python-target" / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, part in {"train": slice(0, 50), "test": slice(50, 60)}.items():
        entries = {"fine_labels": _list(Y[part]), "coarse_labels": _list(Y[part] * 0), "data": _array(X[part])}
        (folder / name).write_bytes(_pickle(**entries))
    (folder / "meta").write_bytes(_pickle(fine_label_names=_list([b"n%d" % i for i in range(10)])))
    dataset = _load("cifar100")
    np.testing.assert_array_equal(dataset.test.y, Y[50:])
    assert dataset.problem.class_names[3] == "n3"


EVIL = b"\x80\x02cbuiltins\nexec\n(" + _text(b"raise SystemExit('unpickled')") + b"tR."
WHOLE = _pickle(data=_array(X[:10]), labels=_list(Y[:10]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (EVIL, "it names builtins.exec"),
        (pickle.dumps(__import__("os").getcwd), "it names"),
        (_pickle(data=EVIL[2:-1], labels=_list(Y[:10])), "it names builtins.exec"),
        (b"", "not a file of CIFAR"),
        (WHOLE[: len(WHOLE) // 2], "not a file of CIFAR"),
        (b"\x80\x02N.", "it holds no dict"),
        (_pickle(labels=_list(Y[:10])), "data is no array"),
        (_pickle(data=_array(X[:10])), "labels is no list"),
        (_pickle(data=_array(X[:10]), labels=_list([b"a"])), "labels is no list"),
        (_pickle(data=_array(X[:10]), labels=_list(Y[:9])), "10 images and 9 labels"),
        (_pickle(data=_array(X[:10, :3000]), labels=_list(Y[:10])), "data is no array of bytes"),
        (_pickle(data=_array(X[:10], b"f4"), labels=_list(Y[:10])), "data is no array of bytes"),
        (_pickle(data=_array(X[:10]).replace(_int(10), _int(10**9), 1), labels=_list(Y[:10])), "data is no array"),
        (_pickle(data=_array(X[:10]), labels=_list([-1] * 10)), "labels is no list of class numbers"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "it holds no dict"),
    ],
)
def test_a_bad_file_of_cifar_is_named_and_nothing_in_it_runs(cache: Path, content: bytes, message: str) -> None:
    folder = _cifar10(cache / "cifar-10-batches-py")
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(UserError, match=f"data_batch_3: .*{message}"):
        _load("cifar10")


@pytest.mark.parametrize("name", ["data_batch_5", "test_batch", "batches.meta"])
def test_a_missing_file_of_cifar_is_named(cache: Path, name: str) -> None:
    (_cifar10(cache / "cifar-10-batches-py") / name).unlink()
    with pytest.raises(UserError, match=f"{name}: cannot be read .No such file"):
        _load("cifar10")


IMAGES = X[:, :784].reshape(60, 28, 28)


def _mnist(cache: Path, **changes: np.ndarray) -> None:
    arrays = {"x_train": IMAGES[:50], "y_train": Y[:50], "x_test": IMAGES[50:], "y_test": Y[50:], **changes}
    np.savez(cache / "mnist.npz", **{name: array for name, array in arrays.items() if array.size})


def test_mnist_has_a_channel_and_its_own_test(cache: Path) -> None:
    _mnist(cache)
    dataset = _load("mnist")
    np.testing.assert_array_equal(dataset.test.x[..., 0], IMAGES[50:] / np.float32(255))
    assert (dataset.problem.kind, dataset.name) == ("image", "keras_mnist")
    assert len(dataset.problem.class_names) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": np.zeros(0)}, "mnist.npz: y_test is missing"),
        ({"x_train": X[:50]}, r"mnist.npz: images of shape \(50, 3072\)"),
        ({"x_train": IMAGES[:50] / 255}, "type float64; expected bytes"),
        ({"y_train": Y[:20]}, "50 inputs but labels of shape"),
        ({"y_train": Y[:50] + 7}, "has label 1[0-6]; expected 0 to 9"),
        ({"y_train": np.array([object()] * 50)}, "mnist.npz: not a readable .npz archive"),
    ],
)
def test_a_bad_mnist_is_named_with_the_place(cache: Path, changes: dict[str, np.ndarray], message: str) -> None:
    _mnist(cache, **changes)
    with pytest.raises(UserError, match=message):
        _load("mnist")


def test_a_cut_off_archive_is_refused(cache: Path) -> None:
    _mnist(cache)
    (cache / "mnist.npz").write_bytes((cache / "mnist.npz").read_bytes()[:3000])
    with pytest.raises(UserError, match=r"mnist\.npz: not a readable"):
        _load("mnist")


def test_california_housing_is_a_regression_that_is_split_here(cache: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 8))
    np.savez(cache / "california_housing.npz", x=x, y=x[:, 0] * 1000.5)
    dataset = _load("california_housing")
    assert dataset.problem.task == "regression"
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 80


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "california_housing"])
def test_a_set_that_is_not_in_the_cache_says_how_it_gets_there(name: str) -> None:
    with pytest.raises(UserError, match=f"--data=keras:{name}: not found in") as caught:
        _load(name)
    assert f"keras.datasets.{name}.load_data()" in caught.value.hint


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_sets_of_python_objects_are_not_read(name: str) -> None:
    with pytest.raises(UserError, match="holds Python objects, which are never read"):
        _load(name)


@pytest.mark.parametrize("name", ["", "mnits", "../mnist"])
def test_an_unknown_set_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match="unknown data set of Keras") as caught:
        _load(name)
    assert "cifar100" in caught.value.hint
