"""Functions of the user's own that return data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, load

HEAD = """
import numpy as np
import tensorflow as tf
generator = np.random.default_rng(0)
X, Y = generator.integers(0, 256, (90, 4, 4, 1)).astype("uint8"), np.arange(90) % 3
def dataset(first=0, last=90):
    return tf.data.Dataset.from_tensor_slices((X[first:last], Y[first:last]))
"""
Run = Callable[..., Dataset]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Returns a function that loads the data of a program's function `make`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(body: str, **flags: object) -> Dataset:
        sys.modules.pop("users_data", None)
        (tmp_path / "users_data.py").write_text(HEAD + body, encoding="utf-8")
        return load(DataConfig(data="python:users_data:make", **flags))  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return run


@pytest.mark.parametrize(
    "result", ["dataset()", "(dataset(),)", "dataset().batch(8)", "(X, Y)", "[X, Y]", "{'train': (X, Y)}"]
)
def test_one_split_is_split_as_an_archive_would_be(run: Run, tmp_path: Path, result: str) -> None:
    dataset = run(f"def make():\n    return {result}\n")
    module = sys.modules["users_data"]
    np.savez(tmp_path / "a.npz", x_train=module.X, y_train=module.Y)
    archive = load(DataConfig(data=str(tmp_path / "a.npz")))
    assert dataset.fingerprint == archive.fingerprint
    assert dataset.preprocessing == archive.preprocessing == "pixels / 255"
    assert dataset.name == "python_users_data_make"


@pytest.mark.parametrize(
    ("result", "sizes"),
    [
        ("dataset(0, 80), dataset(80, 90)", (None, 10)),
        ("dataset(0, 60), dataset(60, 80), dataset(80, 90)", (20, 10)),
        ("dataset(0, 80), None, dataset(80, 90)", (None, 10)),
        ("{'train': dataset(0, 60), 'val': dataset(60, 85), 'test': (X[85:], Y[85:])}", (25, 5)),
        ("(X[:80], Y[:80]), (X[80:], Y[80:])", (None, 10)),
    ],
)
def test_splits_are_taken_as_they_are(run: Run, result: str, sizes: tuple[int | None, int]) -> None:
    dataset = run(f"def make():\n    return {result}\n")
    validation, test = sizes
    assert len(dataset.test) == test
    assert validation in (None, len(dataset.validation))
    np.testing.assert_array_equal(dataset.test.x[:], sys.modules["users_data"].X[90 - test :] / np.float32(255))


def test_a_dataset_that_shuffles_without_a_seed_gives_the_same_in_every_run(run: Run) -> None:
    body = "def make():\n    return dataset().shuffle(90).map(lambda x, y: (tf.random.uniform([3]), y))\n"
    assert run(body).fingerprint == run(body).fingerprint


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "users_data has no make"),
        ("make = 3\n", "make is no function"),
        ("raise KeyError('boom')\n", "cannot import users_data .KeyError: 'boom', users_data.py line 8"),
        ("def make(a):\n    pass\n", "failed .TypeError"),
        ("def make():\n    raise ValueError('no data today')\n", "no data today, users_data.py line 9"),
        ("def make():\n    return None\n", "returned an object of type NoneType"),
        ("def make():\n    return X\n", "returned an object of type ndarray"),
        ("def make():\n    return (dataset(),) * 4\n", "returned tuple of 4"),
        ("def make():\n    return {'dev': dataset()}\n", "returned the split 'dev'"),
        ("def make():\n    return {'test': dataset()}\n", "returned no train split"),
        ("def make():\n    return dataset(), 3\n", "the test split is an object of type int"),
        ("def make():\n    return dataset().take(0)\n", "train: the dataset gives no examples"),
        ("def make():\n    return dataset(), dataset().repeat()\n", "test: the dataset never ends"),
        ("def make():\n    return X / 0.0, Y\n", "inputs of example 0 hold NaN, infinity"),
        ("def make():\n    return X, Y[:5]\n", "90 inputs but labels of shape"),
        ("def make():\n    return X.astype(object), Y\n", "inputs are of type object"),
        ("def make():\n    return X, Y - 1\n", "example 0 has label -1"),
        ("def make():\n    return dataset(), (X[:, :2], Y)\n", "test: inputs of one example have the shape"),
        ("def make():\n    return dataset(), (X / 255, Y)\n", "test: inputs are of type float64, but uint8"),
    ],
)
def test_a_function_that_gives_no_data_is_named_with_the_reason(run: Run, body: str, message: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(UserError, match=message) as caught:
        run(body)
    assert "python:users_data:make" in caught.value.message


def test_a_dataset_without_an_end_is_stopped_at_max_examples(run: Run) -> None:
    body = "def make():\n    return dataset()\n"
    assert len(run(body, max_examples=90).train) > 0
    with pytest.raises(UserError, match="more than 89 examples") as caught:
        run(body, max_examples=89)
    assert "--max_examples" in caught.value.hint


@pytest.mark.parametrize("data", ["python:", "python:m", "python:m:", "python::f", "python:m:f:g"])
def test_what_names_no_function_is_refused(data: str) -> None:
    with pytest.raises(UserError, match="expected python:MODULE:FUNCTION"):
        load(DataConfig(data=data))


def test_a_missing_module_says_where_it_was_looked_for() -> None:
    with pytest.raises(UserError, match="cannot import no_such_module") as caught:
        load(DataConfig(data="python:no_such_module:make"))
    assert "PYTHONPATH" in caught.value.hint
