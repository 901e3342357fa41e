"""A NumPy `.npz` archive with x_train and y_train, and optionally x_val, y_val, x_test, y_test. Never unpickled."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, Raw, source

SPLITS = ("train", "val", "test")


@SOURCES.register("npz")
@source(suffixes=(".npz",))
def load(config: DataConfig) -> Raw:
    """Returns the arrays of the archive. Raises UserError naming the array that is missing or cannot be read."""
    arrays, found = read_arrays(config.data, _known_names())
    if config.task == "reconstruction":  # Labels, if there are any, have no part in it.
        arrays |= {f"y{name[1:]}": np.zeros(x.shape[:1]) for name, x in arrays.items() if name.startswith("x")}
    train, validation, test = (_split(config.data, arrays, found, split) for split in SPLITS)
    if train is None:
        raise UserError(f"{config.data}: x_train and y_train are missing", f"found: {', '.join(found) or 'nothing'}")
    return Raw(*train, validation=validation, test=test)


def read_arrays(path: str, names: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns those arrays of an archive that have one of the names, and all names found in it.

    Raises:
        UserError: not a readable archive, or it holds Python objects, which are never read.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array; use numpy.savez")
        with archive:
            arrays = {name: archive[name] for name in archive.files if name in names}
            found = archive.files
    except MemoryError as error:
        raise UserError(f"{path}: an array does not fit into memory") from error
    except Exception as error:  # A damaged archive makes NumPy, zipfile and the decompressors raise almost anything.
        raise unreadable(path, "a readable .npz archive", error) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives the bytes of a member that is no array.
            raise UserError(f"{path}: {name} is not a NumPy array")
    return arrays, found


def _known_names() -> set[str]:
    return {f"{side}_{split}" for side in "xy" for split in SPLITS}


def _split(
    path: str, arrays: dict[str, np.ndarray], found: list[str], split: str
) -> tuple[np.ndarray, np.ndarray] | None:
    x, y = arrays.get(f"x_{split}"), arrays.get(f"y_{split}")
    if x is None and y is None:
        return None
    if x is None or y is None:
        missing = f"{'x' if x is None else 'y'}_{split}"
        raise UserError(f"{path}: {missing} is missing", f"found: {', '.join(found)}")
    return x, y


def unreadable(path: Path | str, expected: str, error: Exception) -> UserError:
    """Returns what to tell of a file that NumPy does not read; not its own advice, which is to trust the file."""
    if not any(words in str(error).lower() for words in ("pickle", "python object")):
        return UserError(f"{path}: not {expected} ({error})")
    return UserError(
        f"{path}: not {expected} (it holds Python objects, or is none of NumPy's files)",
        "arrays of Python objects are never read; save plain numbers or strings",
    )
