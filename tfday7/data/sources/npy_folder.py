"""A folder with x_train.npy and y_train.npy, and optionally x_val, y_val, x_test, y_test. Never unpickled.

Inputs stay in their files and are read a batch at a time: they may be larger than memory. Labels are read at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.config import DataConfig
from tfday7.data.mapped_splits import Arrays, as_raw
from tfday7.data.source import SOURCES, SPLITS, Raw, check_file, source
from tfday7.data.sources.npz import NAMES, check_splits, named, unreadable

FILES = [f"{name}.npy" for name in NAMES]


def holds_arrays(folder: Path) -> bool:
    """Returns whether one of the files that belong to such a folder is there."""
    return any((folder / name).exists() for name in FILES)


@SOURCES.register("npy_folder")
@source(folder=holds_arrays, form="a folder with x_train.npy and y_train.npy")
def load(config: DataConfig) -> Raw:
    """Returns inputs that are read when asked for, and labels.

    Raises:
        UserError: a file is missing or damaged; it is named.
    """
    folder = Path(config.data)
    splits: dict[str, Arrays] = {}
    found = sorted(file.stem for file in folder.glob("*.npy"))
    check_splits(config.data, found)
    for name in dict.fromkeys(["train", *named(found)]):
        inputs = _open(folder / f"x_{name}.npy", mapped=True)
        if config.task == "reconstruction":  # Labels, if there are any, have no part in it.
            splits[SPLITS[name]] = (inputs, np.zeros(inputs.shape[:1]))
        else:
            splits[SPLITS[name]] = (inputs, _open(folder / f"y_{name}.npy", mapped=False))
    return as_raw(splits, config.data)


def _open(path: Path, mapped: bool) -> np.ndarray:
    check_file(str(path))
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds an archive; expected a single array")
    except MemoryError as error:
        raise UserError(f"{path}: the array does not fit into memory") from error
    except Exception as error:  # A damaged header makes NumPy raise almost anything.
        raise unreadable(path, "a readable .npy file", error) from error
    return array
