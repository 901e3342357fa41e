"""A `.tfrecord` file, or a folder of them, with `--features=FILE.json` that says what they hold (see `feature_spec`).

Every record is read once when the data is loaded: checksums, features and images are verified. Then examples are read
where they lie when they are asked for. Files whose names say train, validation or test are those splits.
"""

from __future__ import annotations

import array
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data import images
from tfday7.data.config import DataConfig
from tfday7.data.feature_spec import EXAMPLE, FeatureSpec, read_spec
from tfday7.data.lazy import LazyInputs
from tfday7.data.source import SOURCES, SPLITS, Raw, check_file, source
from tfday7.data.tfrecords import Record, features_of, read_again, read_records

SUFFIXES = (".tfrecord", ".tfrecords")
DEFAULT_TARGET = "label"
_NAME = re.compile(r"(.*\.tfrecords?)(?:-(\d+)-of-(\d+))?", re.IGNORECASE)


def holds_records(folder: Path) -> bool:
    """Returns whether a file in the folder is named like a TFRecord file."""
    return any(_NAME.fullmatch(path.name) for path in folder.iterdir() if not path.name.startswith("."))


@SOURCES.register("tfrecord")
@source(
    suffixes=SUFFIXES,
    folder=holds_records,
    form="a folder of .tfrecord files",
    uses=("features", "target"),
)
def load(config: DataConfig) -> Raw:
    """Returns inputs that are read when asked for, and labels.

    Raises:
        UserError: a file is missing, damaged, or does not hold what `--features` says; the record is named.
    """
    files = _splits(Path(config.data))
    if not config.features:
        raise UserError(
            f"--data={config.data} needs --features=FILE.json",
            f"{_found(files)}; the file says, for example: {EXAMPLE}",
        )
    spec, label = read_spec(config.features, config.target or DEFAULT_TARGET)
    splits = {split: _read(paths, spec, label) for split, paths in files.items()}
    return Raw(
        *splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        preprocessing=_preprocessing(spec),
    )


class RecordInputs(LazyInputs):
    """One feature of records, read where they lie.

    Args:
        paths: the files.
        places: int64 [n, 3] of each record: the number of its file, the offset and the size of its content.
        digests: what tells the contents apart.
        spec: which feature.
    """

    finite = True

    def __init__(self, paths: Sequence[Path], places: np.ndarray, digests: Sequence[bytes], spec: FeatureSpec) -> None:
        super().__init__((len(places), *spec.shape), np.float32)
        self.paths = paths
        self.places = places
        self.digests = digests
        self.spec = spec

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        values = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, index in enumerate(indices):
            file, offset, size_bytes = self.places[index].tolist()
            content = read_again(self.paths[file], offset, size_bytes)
            record = Record(f"{self.paths[file]}: the record at byte {offset}", offset, content)
            found = self.spec.content(features_of(record), record.place)
            values[row] = self.spec.array(found, record.place)
        return np.divide(values, np.float32(255), out=values) if self.spec.are_pixels else values

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """See `LazyInputs.contents`."""
        return (self.digests[index] for index in indices)


def _splits(path: Path) -> dict[str, list[Path]]:
    if not path.is_dir():
        return {"train": [path]}
    files = sorted(file for file in path.iterdir() if _NAME.fullmatch(file.name) and not file.name.startswith("."))
    for file in files:
        check_file(str(file))
    _check_shards(files)
    named = {
        file: {SPLITS[word] for word in re.findall("[a-z]+", file.name.lower()) if word in SPLITS} for file in files
    }
    if not any(named.values()):
        return {"train": files}
    splits: dict[str, list[Path]] = {}
    for file, names in named.items():
        if len(names) != 1:
            known = "train, validation and test"
            raise UserError(
                f"{file}: the name does not say which split it is", f"other files say {known} in their names"
            )
        splits.setdefault(names.pop(), []).append(file)
    if "train" not in splits:
        raise UserError(f"{path}: there is no file of the train split, only of {', '.join(splits)}")
    return splits


def _check_shards(files: list[Path]) -> None:
    """Raises UserError when one of a set of files, named like a.tfrecord-00001-of-00003, is missing."""
    found: dict[tuple[Path, str], set[int]] = {}
    for file in files:
        match = _NAME.fullmatch(file.name)
        if match and match[3]:
            found.setdefault((file.with_name(match[1]), match[3]), set()).add(int(match[2]))
    for (name, count), numbers in found.items():
        missing = next((i for i in range(min(int(count), len(numbers) + 1)) if i not in numbers), None)
        if missing is not None:
            raise UserError(
                f"{name}-{missing:0{len(count)}}-of-{count}: the file is missing, but others of the set are there"
            )


def _read(paths: list[Path], spec: FeatureSpec, label: FeatureSpec) -> tuple[RecordInputs, np.ndarray]:
    places = array.array("q")
    digests: list[bytes] = []
    labels: list[Any] = []
    for number, path in enumerate(paths):
        for record in read_records(path):
            features = features_of(record)
            content = spec.content(features, record.place)
            _check_input(spec, content, record.place)
            labels.append(_label(label, features, record.place))
            places.extend((number, record.offset, len(record.content)))
            digests.append(hashlib.blake2b(_bytes(spec, content), digest_size=16).digest())
    if not labels:
        raise UserError(f"{paths[0]}: there are no records")
    return RecordInputs(paths, np.array(places, np.int64).reshape(-1, 3), digests, spec), np.array(labels)


def _check_input(spec: FeatureSpec, content: Any, place: str) -> None:
    if spec.is_image:
        try:
            images.check(content)
        except images.BadImageError as error:
            raise UserError(f"{place}: {spec.name!r}: {error}") from error
        return
    _check_finite(spec, spec.array(content, place), place)


def _check_finite(spec: FeatureSpec, values: np.ndarray, place: str) -> None:
    with np.errstate(over="ignore"):
        if not np.isfinite(values.astype(np.float32)).all():
            raise UserError(f"{place}: {spec.name!r} holds NaN, infinity or a number beyond float32")


def _label(label: FeatureSpec, features: dict[str, Any], place: str) -> Any:
    content = label.content(features, place)
    if label.kind == "string":
        return content.decode("utf-8", "backslashreplace")
    values = label.array(content, place)
    _check_finite(label, values, place)
    return values


def _bytes(spec: FeatureSpec, content: Any) -> bytes:
    return content if isinstance(content, bytes) else spec.array(content, "").tobytes()


def _preprocessing(spec: FeatureSpec) -> str:
    if not spec.is_image:
        return "pixels / 255" if spec.are_pixels else ""
    height, width, channels = spec.shape
    return f"{'RGB' if channels == 3 else 'grey'}, resized to {height} x {width} (bilinear over areas), pixels / 255"


def _found(files: dict[str, list[Path]]) -> str:
    """Returns what the first record holds, for people who have to write `--features`."""
    record = next(read_records(files["train"][0]), None)
    features = features_of(record) if record else {}
    kinds = {name: (feature.WhichOneof("kind") or "empty").removesuffix("_list") for name, feature in features.items()}
    return "the first record holds " + (", ".join(f"{name} ({kinds[name]})" for name in sorted(kinds)) or "nothing")
