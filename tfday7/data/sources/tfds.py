"""tfds:NAME, a data set that tensorflow-datasets has prepared on this machine. Nothing is downloaded.

NAME is what `tfds.load` takes, for example tfds:mnist or tfds:cats_vs_dogs:4.0.1; --data_dir says where the prepared
data lies. Inputs and labels are the set's `supervised_keys`. They are read once, to a file (see `draining`).
"""

from __future__ import annotations

import importlib
from typing import Any

from absl import logging

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.config import DataConfig
from tfday7.data.draining import drain
from tfday7.data.mapped_splits import as_raw
from tfday7.data.source import SOURCES, Raw, source

PREFIX = "tfds:"
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


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
    if name.startswith("huggingface:"):
        raise UserError(f"--data={config.data}: such sets are read through another library, which looks them up online")
    tf.executing_eagerly()  # Loads TensorFlow as this program sets it up, before tensorflow-datasets does.
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        message = f"--data={config.data} needs the package tensorflow-datasets ({error})"
        raise UserError(message, "pip install tensorflow-datasets") from error
    datasets, info = _load(tfds, name, config)
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


def _load(tfds: Any, name: str, config: DataConfig) -> tuple[dict[str, Any], Any]:
    try:
        return tfds.load(
            name,
            data_dir=config.data_dir or None,
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
