"""keras:NAME, a data set that Keras has downloaded before, read from its cache ($KERAS_HOME or ~/.keras). No download.

Only sets of arrays: texts such as imdb lie in the cache as pickles of Python objects, which are never read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.data.cifar_files import read_batch, read_names
from tfday7.data.config import DataConfig
from tfday7.data.mapped_splits import Arrays, as_raw
from tfday7.data.source import SOURCES, Raw, check_file, source
from tfday7.data.sources import fashion_mnist
from tfday7.data.sources.npz import read_arrays

PREFIX = "keras:"
OBJECTS = ("imdb", "reuters")


@SOURCES.register("keras_cache")
@source(prefix=PREFIX, form="keras:NAME, a data set in Keras's cache")
def load(config: DataConfig) -> Raw:
    """Returns the set as Keras splits it; california_housing comes without a split.

    Raises:
        UserError: the set is unknown, not in the cache (the hint says how it gets there), or damaged.
    """
    name = config.data.removeprefix(PREFIX)
    if name in OBJECTS:
        raise UserError(
            f"--data={config.data}: its file holds Python objects, which are never read",
            f"known: {', '.join(sorted(_SETS))}",
        )
    if name not in _SETS:
        raise unknown_name("data set of Keras", name, _SETS)
    return _SETS[name]()


def cache() -> Path:
    """Returns the folder of Keras's downloaded data sets."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"


def _missing(name: str, places: list[Path]) -> UserError:
    return UserError(
        f"--data=keras:{name}: not found in {' or '.join(map(str, places))}",
        "nothing is downloaded here; fill the cache once, where there is a network: "
        f'python -c "import keras; keras.datasets.{name}.load_data()"',
    )


def _npz(name: str, *keys: str) -> list[np.ndarray]:
    path = cache() / f"{name}.npz"
    if not path.exists():
        raise _missing(name, [path])
    check_file(str(path))
    arrays, found = read_arrays(str(path), keys)
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing", f"found: {', '.join(found) or 'nothing'}")
    return [arrays[key] for key in keys]


def _mnist() -> Raw:
    x, y, test_x, test_y = _npz("mnist", "x_train", "y_train", "x_test", "y_test")
    for images in (x, test_x):
        if images.ndim != 3 or images.dtype != np.uint8:
            found = f"images of shape {images.shape} and type {images.dtype}"
            raise UserError(f"{cache() / 'mnist.npz'}: {found}; expected bytes [n, 28, 28]")
    test = (test_x[..., np.newaxis], test_y)
    return Raw(x[..., np.newaxis], y, test=test, class_names=tuple("0123456789"))


def _california_housing() -> Raw:
    x, y = _npz("california_housing", "x", "y")
    return Raw(x, y)


def _fashion_mnist() -> Raw:
    folder = cache() / "fashion-mnist"
    if not folder.is_dir():
        raise _missing("fashion_mnist", [folder])
    return fashion_mnist.read_folder(folder)


def _cifar(
    name: str, folder: str, train: tuple[str, ...], test: str, labels: str, meta: tuple[str, str]
) -> Callable[[], Raw]:
    def read() -> Raw:
        # Keras 3 unpacks to a folder of its own, whose name has changed; Keras 2 to the cache itself.
        places = [cache() / above / folder for above in (f"{folder}-target", f"{folder}-target_extracted", "")]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise _missing(name, places)
        batches = [read_batch(found / file, labels) for file in train]
        splits: dict[str, Arrays] = {
            "train": (np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])),
            "test": read_batch(found / test, labels),
        }
        return as_raw(splits, f"keras:{name}", read_names(found / meta[0], meta[1]))

    return read


_CIFAR10 = tuple(f"data_batch_{i}" for i in range(1, 6))
_SETS: dict[str, Callable[[], Raw]] = {
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar(
        "cifar10", "cifar-10-batches-py", _CIFAR10, "test_batch", "labels", ("batches.meta", "label_names")
    ),
    "cifar100": _cifar("cifar100", "cifar-100-python", ("train",), "test", "fine_labels", ("meta", "fine_label_names")),
    "california_housing": _california_housing,
}
