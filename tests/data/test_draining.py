"""What a tf.data dataset gives is what is read back, by index."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.draining import drain

X = np.random.default_rng(0).normal(size=(30, 4, 5)).astype(np.float32)
Y = np.arange(30) % 3


def _dataset(x: np.ndarray = X, y: np.ndarray = Y) -> Any:
    return tf.data.Dataset.from_tensor_slices((x, y))


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: dataset,
        lambda dataset: dataset.batch(7),
        lambda dataset: dataset.batch(30),
        lambda dataset: dataset.batch(1),
        lambda dataset: dataset.batch(10, drop_remainder=True),
        lambda dataset: dataset.map(lambda x, y: (x, y), num_parallel_calls=4, deterministic=False),
    ],
)
def test_examples_come_in_order_batched_or_not(change: Any) -> None:
    x, y = drain(change(_dataset()), "d")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", "float16", "bool"])
def test_types_are_kept(dtype: str) -> None:
    x, _ = drain(_dataset((10 * X).astype(dtype)).batch(4), "d")
    assert x.dtype == dtype
    np.testing.assert_array_equal(x, (10 * X).astype(dtype))


def test_bfloat16_becomes_float32() -> None:
    x, _ = drain(_dataset().map(lambda x, y: (tf.cast(x, tf.bfloat16), y)), "d")
    np.testing.assert_allclose(x, X, rtol=2**-8)


@pytest.mark.parametrize("batch", [0, 4])
def test_labels_may_be_words_or_vectors(batch: int) -> None:
    words, vectors = np.array(["cat", "d\u00f6g"])[Y % 2], np.eye(3)[Y]
    for labels in (words, vectors):
        dataset = _dataset(y=labels)
        np.testing.assert_array_equal(drain(dataset.batch(batch) if batch else dataset, "d")[1], labels)


def test_vectors_and_targets_of_one_length_are_single_examples() -> None:
    x, y = drain(_dataset(X[:, 0], X[:, 1]), "d")
    np.testing.assert_array_equal(x, X[:, 0])
    np.testing.assert_array_equal(y, X[:, 1])


def test_no_file_is_left_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    x, _ = drain(_dataset(), "d")
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(x, X)


def _generated(examples: list[Any], x_shape: Any = (None,), y_shape: Any = ()) -> Any:
    signature = (tf.TensorSpec(x_shape, tf.float32), tf.TensorSpec(y_shape, tf.int64))
    return tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=signature)


def _endless() -> Any:
    def forever() -> Any:
        while True:
            yield np.zeros(3, np.float32), 0

    signature = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(forever, output_signature=signature)


def _failing() -> Any:
    def fail() -> Any:
        yield np.zeros(3, np.float32), 0
        raise RuntimeError("the disk is on fire")

    signature = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(fail, output_signature=signature)


def _ragged() -> Any:
    return tf.ragged.constant([[1.0], [1.0, 2.0]])


CASES = {
    "repeated": (lambda: _dataset().repeat(), "the dataset never ends"),
    "endless": (_endless, "more than 1,000 examples"),
    "empty": (lambda: _dataset().take(0), "gives no examples"),
    "filtered to nothing": (lambda: _dataset().filter(lambda x, y: y > 9), "gives no examples"),
    "other x": (lambda: _generated([([1.0, 2.0], 0), ([1.0], 1)]), r"x of example 1 has the shape \(1,\); expected"),
    "other y": (lambda: _generated([([1.0], [0]), ([1.0], [1, 2])], (1,), (None,)), "y of example 1 has the shape"),
    "unequal": (lambda: _generated([([[1.0], [2.0]], [0])], (None, 1), (None,)), "a batch of 2 inputs and 1 labels"),
    "no values": (lambda: _dataset(np.zeros((9, 0), np.float32), Y[:9]), "there is nothing to learn from"),
    "failing": (_failing, "failed after 1 examples .*the disk is on fire"),
    "inputs alone": (lambda: tf.data.Dataset.from_tensor_slices(X), "gives a single tensor"),
    "weights": (lambda: tf.data.Dataset.from_tensor_slices((X, Y, Y)), "weights of examples are not supported"),
    "dict": (lambda: tf.data.Dataset.from_tensor_slices({"image": X, "label": Y}), "a dict of image, label"),
    "dict in x": (lambda: tf.data.Dataset.from_tensor_slices(({"a": X}, Y)), "x is a dict of a"),
    "words in x": (lambda: tf.data.Dataset.from_tensor_slices((Y.astype(str), Y)), "x is of type string"),
    "ragged": (lambda: tf.data.Dataset.from_tensor_slices((_ragged(), [0, 1])), "x is a ragged tensor"),
    "sparse": (lambda: tf.data.Dataset.from_tensor_slices((tf.sparse.eye(3), [0, 1, 2])), "x is a sparse tensor"),
    "no rank": (lambda: _generated([([1.0], 0)], None), "x has no known rank"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_that_cannot_be_read_is_named_with_the_place(name: str) -> None:
    make, expected = CASES[name]
    with pytest.raises(UserError, match=f"python:m:f: train: .*{expected}"):
        drain(make(), "python:m:f: train", max_examples=1000)


def test_a_full_disk_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    with full, pytest.raises(UserError, match="No space left") as caught:
        drain(_dataset(), "d")
    assert "TMPDIR" in caught.value.hint
