"""tfds:NAME, a data set that tensorflow-datasets has prepared on this machine. Nothing is downloaded.

NAME is what `tfds.load` takes, for example tfds:mnist or tfds:cats_vs_dogs:4.0.1; --data_dir says where the prepared
data lies. Inputs and labels are the set's `supervised_keys`. They are read once, to a file (see `draining`).
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.config import DataConfig
from tfday7.data.draining import drain
from tfday7.data.mapped_splits import as_raw
from tfday7.data.source import SOURCES, SPLITS, Raw, source

PREFIX = "tfds:"
CLASSES = "tensorflow_datasets."
NAMES = ("pythonClassName", "python_class_name", "type")  # Where a name may stand, in the forms of all versions.
FEATURES, MOST_DEPTH = "features.json", 5  # NAME/CONFIG/VERSION/features.json, where a configuration may have parts.


@SOURCES.register("tfds")
@source(
    prefix=PREFIX,
    form="tfds:NAME, a data set of tensorflow-datasets",
    uses=("data_dir", "image_size", "max_examples"),
)
def load(config: DataConfig) -> Raw:
    """Returns the set's splits train, validation and test as far as it has them; --image_size resizes images.

    Raises:
        UserError: tensorflow-datasets is not installed, the set is unknown or not prepared, or has no pairs.
    """
    name = config.data.removeprefix(PREFIX)
    if not name:
        raise UserError(f"--data={config.data}: expected tfds:NAME", "for example tfds:mnist")
    set_name, _, version = name.partition(":")
    if version and not re.match(r"[0-9*]", version):  # A namespace: huggingface, or one of GitHub's, which is code.
        raise UserError(
            f"--data={config.data}: sets of a namespace are looked up online", "name the set alone, as tfds:mnist"
        )
    set_name = set_name.partition("/")[0]  # Without its configuration.
    if set_name != set_name.lower():  # The library would look for another name.
        raise UserError(f"--data={config.data}: names of sets have small letters", "for example tfds:cats_vs_dogs")
    tf.executing_eagerly()  # Loads TensorFlow as this program sets it up, before tensorflow-datasets does.
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        message = f"--data={config.data} needs the package tensorflow-datasets ({error})"
        raise UserError(message, "pip install tensorflow-datasets") from error
    folder = config.data_dir or os.environ.get("TFDS_DATA_DIR") or str(Path("~/tensorflow_datasets").expanduser())
    _check_classes(f"{folder.rstrip('/')}/{set_name}")
    datasets, info = _load(tfds, name, folder, config)
    left_out = [split for split in datasets if split not in SPLITS]
    if left_out:
        logging.warning("%s: the splits %s are not used", config.data, ", ".join(left_out))
    splits = {
        SPLITS[split]: drain(_resized(dataset, config), f"{config.data}: {split}", config.max_examples)
        for split, dataset in datasets.items()
        if split in SPLITS
    }
    if "train" not in splits:
        raise UserError(f"--data={config.data} has no split train", f"it has {', '.join(datasets)}")
    return as_raw(splits, config.data, _class_names(info))


def _check_classes(folder: str) -> None:
    """Checks that a prepared set asks for the library's own classes: it would import any module that its files name.

    Args:
        folder: of the set, here or in a bucket.

    Raises:
        UserError: a features.json names another class, or cannot be read.
    """
    try:
        for path in _features(folder, MOST_DEPTH):
            if "://" not in path:
                files.check_plain(Path(path), files.MOST_JSON_BYTES)
            for name in _class_names_in(json.loads(tf.io.gfile.GFile(path).read())):
                if not str(name).startswith(CLASSES):
                    raise UserError(f"{path}: asks for the class {name}, which is code", f"expected one of {CLASSES}*")
    except UserError:
        raise
    except (tf.errors.OpError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split("\n")[0].split())[:300]
        raise UserError(f"{folder}: its {FEATURES} cannot be read ({said})") from error


def _features(folder: str, depth: int) -> Iterator[str]:
    """Yields the paths of all features.json in a folder, and so many folders deep; whatever is in their names."""
    if depth and tf.io.gfile.isdir(folder):
        for name in sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder)):
            path = f"{folder}/{name}"
            yield from [path] if name == FEATURES else _features(path, depth - 1)


def _class_names_in(record: Any) -> Iterator[Any]:
    """Yields the names of classes anywhere in a record, also in JSON that it holds as text."""
    if isinstance(record, str):
        if not record.lstrip().startswith(("{", "[")):
            return
        try:
            record = json.loads(record)
        except ValueError:  # Text that is no JSON is read by nobody as such.
            return
    if isinstance(record, dict):
        yield from (record[key] for key in NAMES if isinstance(record.get(key), str))
    for part in record.values() if isinstance(record, dict) else record if isinstance(record, list) else ():
        yield from _class_names_in(part)


def _load(tfds: Any, name: str, folder: str, config: DataConfig) -> tuple[dict[str, Any], Any]:
    try:
        return tfds.load(
            name,
            data_dir=folder,
            as_supervised=True,
            download=False,
            shuffle_files=False,
            with_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # The library raises AssertionError, ValueError and errors of its own.
        said = " ".join(str(error).split("\n")[0].split())[:300]
        where = f"data_dir={config.data_dir!r}, " if config.data_dir else ""
        raise UserError(
            f"--data={config.data} cannot be loaded ({said})",
            "nothing is downloaded here; prepare it once, where there is a network: "
            f'python -c "import tensorflow_datasets as tfds; tfds.load({name!r}, {where}download=True)"',
        ) from error


def _resized(dataset: Any, config: DataConfig) -> Any:
    shape = config.image_shape()
    if shape is None:
        return dataset
    spec = dataset.element_spec[0]
    if spec.dtype != tf.uint8 or spec.shape.rank != 3:
        raise UserError(f"--image_size={config.image_size}, but the inputs of --data={config.data} are no images")

    def resize(x: Any, y: Any) -> tuple[Any, Any]:
        # Rounded to bytes again: the data on disk stays small, and is scaled to [0, 1] like all pixels.
        return tf.cast(tf.round(tf.image.resize(x, shape, antialias=True)), tf.uint8), y

    return dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)


def _class_names(info: Any) -> tuple[str, ...]:
    keys = info.supervised_keys
    names = getattr(info.features[keys[1]], "names", None) if keys and len(keys) == 2 else None
    return tuple(names or ())
