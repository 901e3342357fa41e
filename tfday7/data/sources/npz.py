"""A NumPy `.npz` archive with x_train and y_train, and optionally x_val, y_val, x_test, y_test. Never unpickled.

The validation split may be called val, valid or validation.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, SPLITS, Raw, source

NAMES = [f"{side}_{split}" for side in "xy" for split in SPLITS]


@SOURCES.register("npz")
@source(suffixes=(".npz",))
def load(config: DataConfig) -> Raw:
    """Returns the arrays of the archive. Raises UserError naming the array that is missing or cannot be read."""
    arrays, found = read_arrays(config.data, NAMES)
    check_splits(config.data, found)
    if config.task == "reconstruction":  # Labels, if there are any, have no part in it.
        arrays |= {f"y{name[1:]}": np.zeros(x.shape[:1]) for name, x in arrays.items() if name.startswith("x")}
    given = {SPLITS[name]: _split(config.data, arrays, found, name) for name in named(found)}
    if "train" not in given:
        raise UserError(f"{config.data}: x_train and y_train are missing", f"found: {', '.join(found) or 'nothing'}")
    return Raw(*given["train"], validation=given.get("validation"), test=given.get("test"))


def named(found: Collection[str]) -> list[str]:
    """Returns the splits of arrays such as x_val, by the names that they have here."""
    return [split for split in SPLITS if f"x_{split}" in found or f"y_{split}" in found]


def check_splits(where: str, found: Collection[str]) -> None:
    """Checks that no array with such a name would be left out: half of somebody's examples, without a word.

    Raises:
        UserError: it is of no split, or of one that is there already.
    """
    for name in found:
        other = f"{'y' if name[:1].lower() == 'x' else 'x'}{name[1:]}"
        pair = other in found or name[2:].lower() in SPLITS  # Alone it may be anything: y_names, x_mean.
        if name[:2].lower() in ("x_", "y_") and name not in NAMES and pair:
            hint = "splits are train, val (or validation) and test, as in x_val: rename it, or leave it out"
            raise UserError(f"{where}: {name[:60]} is of no split", hint)
    given = [split for split in named(found) if SPLITS[split] == "validation"]
    if len(given) > 1:
        raise UserError(f"{where}: both x_{given[0]} and x_{given[1]} would be the validation split", "leave one out")


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


def _split(path: str, arrays: dict[str, np.ndarray], found: list[str], split: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = arrays.get(f"x_{split}"), arrays.get(f"y_{split}")
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
