"""TFRecord files as TensorFlow writes them, good and bad."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import DataConfig, Dataset, load
from tfday7.data.lazy import LazyInputs

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 5, 6, 3), dtype=np.uint8)
Y = np.arange(60) % 3
PNG = {"image": {"kind": "png", "shape": [5, 6, 3]}, "label": {"kind": "int64"}}
RAW = {"image": {"kind": "raw", "shape": [5, 6, 3], "dtype": "uint8"}, "label": {"kind": "int64"}}
FLOATS = {"image": {"kind": "float", "shape": [4]}, "label": {"kind": "int64"}}


def _png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def _feature(value: Any) -> Any:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    values = np.ravel(value)
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _example(**features: Any) -> bytes:
    made = {name: _feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def _write(path: Path, records: Sequence[bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def _raws(numbers: Sequence[int] = range(60)) -> list[bytes]:
    return [_example(image=IMAGES[i].tobytes(), label=Y[i]) for i in numbers]


def _load(path: Path, spec: Any = RAW, **flags: str) -> Dataset:
    features = path.parent / "features.json"
    features.write_text(json.dumps(spec), encoding="utf-8")
    return load(DataConfig(data=str(path), features=str(features), **flags))  # type: ignore[arg-type]


def _all(dataset: Dataset) -> dict[bytes, int]:
    """Returns the label of each image, by its pixels."""
    parts = (dataset.train, dataset.validation, dataset.test)
    rows = ((row, label) for part in parts for row, label in zip(part.x[:], part.y, strict=True))
    return {np.rint(row * 255).astype(np.uint8).tobytes(): int(label) for row, label in rows}


@pytest.mark.parametrize(
    ("spec", "encode"),
    [
        (PNG, _png),
        (RAW, lambda image: image.tobytes()),
        ({**PNG, "image": {"kind": "image", "shape": [5, 6, 3]}}, _png),
    ],
)
def test_images_and_labels_are_those_that_tensorflow_wrote(
    tmp_path: Path, spec: Any, encode: Callable[[np.ndarray], bytes]
) -> None:
    records = [_example(image=encode(IMAGES[i]), label=Y[i], other=b"left alone") for i in range(60)]
    dataset = _load(_write(tmp_path / "a.tfrecord", records), spec)
    assert isinstance(dataset.train.x, LazyInputs)
    assert dataset.problem.input_shape == (5, 6, 3)
    assert dataset.preprocessing.endswith("pixels / 255")
    assert _all(dataset) == {IMAGES[i].tobytes(): Y[i] for i in range(60)}


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("float32", [1.5, -2.0, 3e30]), ("int16", [-5, 300, 7]), ("float64", [0.1, 1e-3, 2]), ("uint8", [0, 255, 9])],
)
def test_raw_numbers_keep_their_values(tmp_path: Path, dtype: str, values: list[float]) -> None:
    rows = [np.array(values, dtype) * np.array(1, dtype) + np.array(i, dtype) for i in range(40)]
    records = [_example(x=row.astype(f"<{np.dtype(dtype).str[1:]}").tobytes(), y=i % 2) for i, row in enumerate(rows)]
    spec = {"x": {"kind": "raw", "shape": [3], "dtype": dtype}, "y": {"kind": "int64"}}
    dataset = _load(_write(tmp_path / "a.tfrecord", records), spec, target="y")
    wanted = {row.astype(np.float32).tobytes() for row in rows}
    assert {row.tobytes() for part in (dataset.train, dataset.validation, dataset.test) for row in part.x[:]} == wanted
    assert dataset.preprocessing == ""


def test_lists_of_floats_with_values_to_predict_are_a_regression(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2, 3)).astype(np.float32)
    records = [_example(x=x[i], y=x[i, 0, :2]) for i in range(50)]
    spec = {"x": {"kind": "float", "shape": [2, 3]}, "y": {"kind": "float", "shape": [2]}}
    dataset = _load(_write(tmp_path / "a.tfrecord", records), spec, target="y")
    assert (dataset.problem.task, dataset.problem.kind, dataset.problem.outputs) == ("regression", "series", 2)
    np.testing.assert_array_equal(dataset.train.x[:][:, 0, :2], dataset.train.y)


def test_labels_may_be_words(tmp_path: Path) -> None:
    words = ["cat", "d\u00f6g", "eel"]
    records = [_example(image=IMAGES[i].tobytes(), label=words[Y[i]].encode()) for i in range(60)]
    dataset = _load(_write(tmp_path / "a.tfrecord", records), {**RAW, "label": {"kind": "string"}})
    assert dataset.problem.class_names == tuple(words)
    assert _all(dataset) == {IMAGES[i].tobytes(): Y[i] for i in range(60)}


@pytest.mark.parametrize("sets", [[range(60)], [range(20), range(20, 45), range(45, 60)]])
def test_the_files_of_a_set_are_one(tmp_path: Path, sets: list[range]) -> None:
    for i, numbers in enumerate(sets):
        _write(tmp_path / "set" / f"a.tfrecord-{i:05d}-of-{len(sets):05d}", _raws(numbers))
    assert len(_all(_load(tmp_path / "set"))) == 60


def test_names_say_which_split_a_file_is(tmp_path: Path) -> None:
    ranges = {"train.tfrecord-0-of-2": (0, 25), "train.tfrecord-1-of-2": (25, 40)}
    for name, numbers in {**ranges, "d-validation.tfrecord": (40, 52), "d_test.tfrecord": (52, 60)}.items():
        _write(tmp_path / "set" / name, _raws(range(*numbers)))
    dataset = _load(tmp_path / "set")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (40, 12, 8)
    np.testing.assert_array_equal(dataset.test.y, Y[52:])
    np.testing.assert_array_equal(dataset.test.x[:], IMAGES[52:] / np.float32(255))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.tfrecord-0-of-3", "a.tfrecord-2-of-3"), "a.tfrecord-1-of-3: the file is missing"),
        (("a.tfrecord-0-of-2",), "a.tfrecord-1-of-2: the file is missing"),
        (("train.tfrecord", "more.tfrecord"), "more.tfrecord: the name does not say which split"),
        (("train_test.tfrecord",), "train_test.tfrecord: the name does not say which split"),
        (("test.tfrecord",), "there is no file of the train split, only of test"),
    ],
)
def test_sets_that_are_not_whole_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        _write(tmp_path / "set" / name, _raws(range(10)))
    with pytest.raises(UserError, match=message):
        _load(tmp_path / "set")


def test_without_features_the_first_record_says_what_there_is(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tfrecord", [_example(image=b"x", label=1, score=0.5)])
    with pytest.raises(UserError, match=r"needs --features=FILE\.json") as caught:
        load(DataConfig(data=str(path)))
    assert "image (bytes), label (int64), score (float)" in caught.value.hint


def _changed(records: list[bytes], change: bytes) -> list[bytes]:
    return [*records[:7], change, *records[8:]]


HEADER = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + HEADER + struct.pack(">I", zlib.crc32(HEADER)) + b"\x00\x00\x00\x09IDAT"


@pytest.mark.parametrize(
    ("spec", "record", "message"),
    [
        (RAW, {"label": 1}, r"there is no feature 'image'"),
        (RAW, {"image": IMAGES[0].tobytes()}, r"there is no feature 'label'"),
        (RAW, {"image": IMAGES[0].tobytes()[:-1], "label": 1}, "'image' holds 89 bytes; expected 90"),
        (RAW, {"image": IMAGES[0], "label": 1}, "'image' holds a int64_list; expected a bytes_list"),
        (RAW, {"image": IMAGES[0].tobytes(), "label": [1, 2]}, "'label' holds 2 values; expected 1"),
        (RAW, {"image": IMAGES[0].tobytes(), "label": b"1"}, "'label' holds a bytes_list; expected a int64_list"),
        (PNG, {"image": _png(IMAGES[0])[:60], "label": 1}, r"'image': \w"),
        (PNG, {"image": b"no image", "label": 1}, "it is no PNG, JPEG, BMP or GIF image"),
        (PNG, {"image": b"", "label": 1}, "it is no PNG, JPEG, BMP or GIF image"),
        (PNG, {"image": BOMB, "label": 1}, "pixel"),
        (FLOATS, {"image": [0.0, np.nan, 0.0, 1.0], "label": 1}, "'image' holds NaN"),
        (FLOATS, {"image": [0.0, np.inf, 0.0, 1.0], "label": 1}, "'image' holds NaN, infinity"),
        (FLOATS, {"image": [0.0] * 5, "label": 1}, "'image' holds 5 values; expected 4"),
    ],
)
def test_a_bad_example_is_named_with_its_file_and_number(tmp_path: Path, spec: Any, record: Any, message: str) -> None:
    kind = spec["image"]["kind"]
    make = {
        "raw": lambda i: IMAGES[i].tobytes(),
        "png": lambda i: _png(IMAGES[i]),
        "float": lambda i: [i, 0.5, 0.5, 1.0],
    }[kind]
    good = [_example(image=make(i), label=Y[i]) for i in range(20)]
    path = _write(tmp_path / "a.tfrecord", _changed(good, _example(**record)))
    with pytest.raises(UserError, match=rf"a\.tfrecord: record 7: .*{message}"):
        _load(path, spec)


@pytest.mark.parametrize(
    ("labels", "message"), [(Y - 1, "has label -1"), (Y * 0, "all training examples have the same")]
)
def test_labels_are_checked_as_everywhere(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    records = [_example(image=IMAGES[i].tobytes(), label=labels[i]) for i in range(60)]
    with pytest.raises(UserError, match=message):
        _load(_write(tmp_path / "a.tfrecord", records))


def test_a_record_that_is_no_example_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tfrecord", _changed(_raws(), b"\xff\xff\xff"))
    with pytest.raises(UserError, match=r"a\.tfrecord: record 7: not a tf\.train\.Example"):
        _load(path)


@pytest.mark.parametrize("cut_bytes", [1, 3, 4, 5, 60, 150])
def test_a_file_that_was_cut_off_is_refused_naming_the_record(tmp_path: Path, cut_bytes: int) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws())
    content = path.read_bytes()
    record_bytes = len(content) / 60
    path.write_bytes(content[:-cut_bytes])
    number = 59 if cut_bytes < record_bytes else 58
    with pytest.raises(UserError, match=rf"a\.tfrecord: record {number}: .*the file ends"):
        _load(path)


def test_every_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws(range(3)))
    content = path.read_bytes()
    for position in range(0, len(content), 5):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1 << position % 8]) + content[position + 1 :])
        with pytest.raises(UserError, match=r"a\.tfrecord: (no TFRecord file|record [012]: .*checksum)"):
            _load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"short", "the file ends within its length"),
        (b"just some text, nothing else", "no TFRecord file"),
        (gzip.compress(b"x" * 100, mtime=0), "the file is compressed"),
    ],
)
def test_what_is_no_tfrecord_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.tfrecord: .*{message}"):
        _load(tmp_path / "a.tfrecord")


WHOLE: list[bytes] = []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=9))
def test_a_record_of_changed_bytes_is_loaded_or_refused(tmp_path: Path, start: int, change: bytes) -> None:
    if not WHOLE:
        WHOLE.extend(_raws(range(12)))
    start %= len(WHOLE[7])
    record = WHOLE[7][:start] + change + WHOLE[7][start + len(change) :]
    try:
        _load(_write(tmp_path / "a.tfrecord", _changed(WHOLE, record)))
    except UserError as error:
        assert "a.tfrecord" in error.message  # noqa: PT017


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "expected an object of features"),
        ({}, "describes nothing"),
        ({"label": {"kind": "int64"}}, "describes label"),
        ({**RAW, "other": {"kind": "int64"}}, "describes image, label, other"),
        ({"image": RAW["image"], "y": {"kind": "int64"}}, "and the label label"),
        ({**RAW, "image": {"kind": "tiff", "shape": [1, 1, 1]}}, "unknown kind 'tiff'"),
        ({**RAW, "image": "png"}, "'image': expected an object"),
        ({**RAW, "image": {"kind": "png", "size": 3}}, "'image': expected an object"),
        ({**RAW, "image": {"kind": "png"}}, r"the shape is \[\]; expected \[height, width, channels\]"),
        ({**RAW, "image": {"kind": "png", "shape": [5, 6, 2]}}, "with 1 or 3 channels"),
        ({**RAW, "image": {"kind": "raw", "shape": [5], "dtype": "object"}}, "the dtype is 'object'"),
        ({**RAW, "image": {"kind": "raw", "shape": [5]}}, "the dtype is ''; raw bytes need one"),
        ({**RAW, "image": {"kind": "float", "shape": [5], "dtype": "uint8"}}, "the dtype is 'uint8'"),
        ({**RAW, "image": {"kind": "float"}}, "'image' is the input and needs a shape"),
        ({**RAW, "image": {"kind": "string"}}, "'image' is the input, and of the kind string"),
        ({**RAW, "image": {"kind": "float", "shape": [0]}}, "expected a list of numbers above 0"),
        ({**RAW, "image": {"kind": "float", "shape": [True]}}, "expected a list of numbers above 0"),
        ({**RAW, "image": {"kind": "float", "shape": 5}}, "expected a list of numbers above 0"),
        ({**RAW, "image": {"kind": "float", "shape": [10**9, 10**9]}}, "has more than 100,000,000 values"),
        ({**RAW, "label": {"kind": "png", "shape": [5, 6, 3]}}, "'label' is the label"),
    ],
)
def test_a_wrong_feature_file_is_refused_with_the_place(tmp_path: Path, spec: Any, message: str) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws(range(3)))
    with pytest.raises(UserError, match=f"--features=.*{message}"):
        _load(path, spec)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_feature_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws(range(3)))
    (tmp_path / "features.json").write_bytes(content)
    with pytest.raises(UserError, match=r"--features=.*cannot be read"):
        load(DataConfig(data=str(path), features=str(tmp_path / "features.json")))
    with pytest.raises(UserError, match=r"--features=missing\.json: cannot be read"):
        load(DataConfig(data=str(path), features="missing.json"))


def test_copies_fall_on_one_side(tmp_path: Path) -> None:
    dataset = _load(_write(tmp_path / "a.tfrecord", _raws() * 2))
    sides = [{row.tobytes() for row in part.x[:]} for part in (dataset.train, dataset.validation, dataset.test)]
    assert len(set.union(*sides)) == sum(len(side) for side in sides) == 60


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_that_changes_while_training_is_named(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws())
    dataset = _load(path)
    change(path)
    with pytest.raises(UserError, match=r"a\.tfrecord: (cannot be read any more|the file has become shorter)"):
        dataset.train.x[:5]


def test_loading_needs_no_tensorflow(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tfrecord", _raws())
    _load(path)
    config = f"DataConfig(data={str(path)!r}, features={str(tmp_path / 'features.json')!r})"
    code = (
        f"import sys\nfrom tfday7.data import DataConfig, load\nload({config})\nassert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
