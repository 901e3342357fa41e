"""tfds:NAME, with a stand-in for tensorflow-datasets that has its interface; nothing is downloaded."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import DataConfig, Dataset, load

X = np.random.default_rng(0).integers(0, 256, (90, 6, 4, 3), dtype=np.uint8)
Y = np.arange(90) % 3


class Label:
    """As tfds.features.ClassLabel."""

    names = ("ant", "bee", "cat")


def _slices(first: int, last: int) -> Any:
    return tf.data.Dataset.from_tensor_slices((X[first:last], Y[first:last]))


class Library(types.ModuleType):
    """Takes the place of `tensorflow_datasets`, and keeps what `load` was called with."""

    def __init__(self, splits: dict[str, Any], error: Exception | None = None) -> None:
        super().__init__("tensorflow_datasets")
        self.splits, self.error = splits, error
        self.called: dict[str, Any] = {}

    def load(self, name: str, **arguments: Any) -> Any:
        self.called = {"name": name, **arguments}
        if self.error:
            raise self.error
        info = types.SimpleNamespace(supervised_keys=("image", "label"), features={"image": object(), "label": Label()})
        return self.splits, info


def _load(monkeypatch: pytest.MonkeyPatch, library: Library, data: str = "tfds:toy", **flags: Any) -> Dataset:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", library)
    return load(DataConfig(data=data, **flags))


def test_splits_and_class_names_are_those_of_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({"train": _slices(0, 60), "validation": _slices(60, 80), "test": _slices(80, 90)})
    dataset = _load(monkeypatch, library)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (60, 20, 10)
    assert dataset.problem.class_names == Label.names
    assert (dataset.name, dataset.preprocessing) == ("tfds_toy", "pixels / 255")
    np.testing.assert_array_equal(dataset.test.x[:], X[80:] / np.float32(255))
    np.testing.assert_array_equal(dataset.test.y, Y[80:])


def test_nothing_is_downloaded_and_files_are_not_shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({"train": _slices(0, 90)})
    _load(monkeypatch, library, data="tfds:toy:1.0.0", data_dir="/prepared")
    assert library.called["name"] == "toy:1.0.0"
    assert library.called["data_dir"] == "/prepared"
    assert library.called["as_supervised"] is True
    assert library.called["download"] is False
    assert library.called["shuffle_files"] is False


def test_images_are_resized_when_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = _load(monkeypatch, Library({"train": _slices(0, 90)}), image_size="3x2")
    assert dataset.problem.input_shape == (3, 2, 3)
    blocks = X.reshape(90, 3, 2, 2, 2, 3).mean(axis=(2, 4))
    assert (
        np.abs(np.sort(dataset.train.x[:].mean(axis=(1, 2, 3)))[0] * 255 - np.sort(blocks.mean(axis=(1, 2, 3)))[0]) < 8
    )


def _of_many_sizes() -> Any:
    signature = (tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(
        lambda: ((X[i, : 2 + i % 4], Y[i]) for i in range(90)), output_signature=signature
    )


def test_images_of_many_sizes_need_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="tfds:toy: train: x of example 1 has the shape"):
        _load(monkeypatch, Library({"train": _of_many_sizes()}))
    assert _load(monkeypatch, Library({"train": _of_many_sizes()}), image_size="5").problem.input_shape == (5, 5, 3)


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (
            Library({}, AssertionError("could not find data in /prepared\nlong list")),
            "cannot be loaded .could not find data",
        ),
        (Library({}, ValueError("Dataset toy not found.")), "cannot be loaded .Dataset toy not found"),
        (Library({"test": None}), "has no split train"),
    ],
)
def test_what_is_not_there_says_how_to_prepare_it(
    monkeypatch: pytest.MonkeyPatch, library: Library, message: str
) -> None:
    if "test" in library.splits:
        library.splits["test"] = _slices(80, 90)
    with pytest.raises(UserError, match=message) as caught:
        _load(monkeypatch, library)
    assert "long list" not in caught.value.message
    assert caught.value.hint


def test_bad_data_is_named_with_its_split(monkeypatch: pytest.MonkeyPatch) -> None:
    words = tf.data.Dataset.from_tensor_slices((Y.astype(str), Y))
    with pytest.raises(UserError, match="tfds:toy: train: x is of type string"):
        _load(monkeypatch, Library({"train": words}))
    with pytest.raises(UserError, match="the inputs of --data=tfds:toy are no images"):
        _load(monkeypatch, Library({"train": words}), image_size="5")
    with pytest.raises(UserError, match="test: the dataset gives no examples"):
        _load(monkeypatch, Library({"train": _slices(0, 80), "test": _slices(0, 0)}))
    unlabelled = tf.data.Dataset.from_tensor_slices((X[:5], Y[:5] * 0 - 1))
    with pytest.raises(UserError, match="test: example 0 has label -1"):
        _load(monkeypatch, Library({"train": _slices(0, 80), "test": unlabelled}))
    with pytest.raises(UserError, match="more than 10 examples"):
        _load(monkeypatch, Library({"train": _slices(0, 80)}), max_examples=10)


def test_without_the_library_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match="--data=tfds:mnist needs the package tensorflow-datasets") as caught:
        load(DataConfig(data="tfds:mnist"))
    assert caught.value.hint == "pip install tensorflow-datasets"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("tfds:", "expected tfds:NAME"),
        ("tfds:huggingface:mnist", "online"),
        ("tfds:mine:toy", "online"),
        ("tfds:Toy", "small letters"),
    ],
)
def test_names_that_cannot_be_read_offline_are_refused(data: str, message: str) -> None:
    with pytest.raises(UserError, match=f"--data={data}: .*{message}"):
        load(DataConfig(data=data))


@pytest.mark.parametrize("where", ["toy/1.0.0", "toy/small/1.0.0"])
@pytest.mark.parametrize(
    "asks",
    [
        {"pythonClassName": "evil.payload.X"},
        {"python_class_name": "evil.payload.X", "text": {}},
        {"featuresDict": {"a": [{"type": "evil.payload.X", "content": {}}]}},
        {"jsonFeature": {"json": json.dumps({"feature": {"type": "evil.payload.X", "content": "{}"}})}},
    ],
)
def test_a_set_that_asks_for_code_of_its_own_is_refused(
    asks: dict[str, Any], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tensorflow-datasets imports the module of every class that a features.json names."""
    theirs = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    (tmp_path / "elsewhere" / where).mkdir(parents=True)
    tmp_path = tmp_path / "[set]*"
    tmp_path.mkdir()
    (tmp_path / "toy").symlink_to(tmp_path.parent / "elsewhere" / "toy")
    path, library = tmp_path / where / "features.json", Library({"train": _slices(0, 90)})
    path.write_text(json.dumps({"pythonClassName": theirs}), encoding="utf-8")
    _load(monkeypatch, library, data="tfds:toy", data_dir=str(tmp_path))
    assert library.called.pop("data_dir") == str(tmp_path)
    path.write_text(json.dumps({"pythonClassName": theirs, **asks}), encoding="utf-8")
    with pytest.raises(UserError, match=r"features\.json: asks for the class evil\.payload\.X, which is code$"):
        _load(monkeypatch, library, data="tfds:toy/Small:1.0.0", data_dir=str(tmp_path))
    assert library.called.get("data_dir") is None


def test_a_set_in_a_bucket_is_asked_for_as_it_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ram://` is a file system that TensorFlow brings, as it brings `gs://`."""
    library, folder = Library({"train": _slices(0, 90)}), "ram://bucket/tfds"
    path = f"{folder}/toy/1.0.0/features.json"
    tf.io.gfile.makedirs(path.rpartition("/")[0])
    with tf.io.gfile.GFile(path, "w") as stream:
        stream.write("{}")
    _load(monkeypatch, library, data="tfds:toy", data_dir=folder)
    assert library.called["data_dir"] == folder
    tf.io.gfile.remove(path)
    with tf.io.gfile.GFile(path, "w") as stream:
        stream.write(json.dumps({"pythonClassName": "evil.payload.X"}))
    with pytest.raises(UserError, match=r"asks for the class evil\.payload\.X"):
        _load(monkeypatch, library, data="tfds:toy", data_dir=folder)


def test_a_features_file_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy" / "1.0.0").mkdir(parents=True)
    (tmp_path / "toy" / "1.0.0" / "features.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"toy: its features\.json cannot be read"):
        _load(monkeypatch, Library({"train": _slices(0, 90)}), data="tfds:toy", data_dir=str(tmp_path))
