"""CIFAR's files as their authors publish them: pickles of Python 2, read here without creating anything they name.

A pickle may call whatever it names. Here the three names that these files need (NumPy's array, its dtype and the
function that starts one) stand for plain records of what was given; any other name is refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError

MAX_BYTES = 400_000_000  # The largest real file, CIFAR-100's training split, has 155 million.
PIXELS = 3 * 32 * 32
DAMAGED = "the file is damaged; get it again"


class _Given:
    """What a pickle gives for a NumPy object: the arguments, and later the state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle._Unpickler):  # Written in Python: the one in C makes room for 2**31 memos when one byte says so.
    def find_class(self, module: str, name: str) -> Any:
        known = {"multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"}
        if f"{module.split('.')[-1]}.{name}" in known and module.split(".")[0] == "numpy":
            return _Given
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR file does")


def read_batch(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [n, 32, 32, 3] and labels int64 [n].

    Args:
        path: a file such as data_batch_1.
        label_key: "labels" for CIFAR-10, "fine_labels" for CIFAR-100.

    Raises:
        UserError: missing, damaged, or not such a file.
    """
    content = _read(path)
    images, labels = _pixels(path, content.get(b"data")), content.get(label_key.encode())
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 1000 for label in labels):
        raise UserError(f"{path}: {label_key} is no list of class numbers", DAMAGED)
    if len(images) != len(labels):
        raise UserError(f"{path}: {len(images)} images and {len(labels)} labels", DAMAGED)
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, np.int64)


def read_names(path: Path, key: str) -> tuple[str, ...]:
    """Returns the names of the classes, from a file such as batches.meta. Raises UserError as `read_batch`."""
    names = _read(path).get(key.encode())
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise UserError(f"{path}: {key} is no list of names", DAMAGED)
    return tuple(name.decode("utf-8", "backslashreplace") for name in names)


def _read(path: Path) -> dict[Any, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: has more than {MAX_BYTES:,} bytes; expected a file of CIFAR")
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UserError:
        raise
    except Exception as error:  # A damaged pickle raises almost anything, MemoryError too.
        raise UserError(f"{path}: not a file of CIFAR ({type(error).__name__}: {error})", DAMAGED) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a file of CIFAR (it holds no dict)", DAMAGED)
    return content


def _pixels(path: Path, given: Any) -> np.ndarray:
    """Returns uint8 [n, 3072] of what stands for an array: its state is (version, shape, dtype, is Fortran, bytes)."""
    state = given.state if isinstance(given, _Given) else ()
    if not isinstance(state, tuple) or len(state) != 5:
        raise UserError(f"{path}: data is no array", DAMAGED)
    _, shape, dtype, fortran, content = state
    kind = dtype.arguments[:1] if isinstance(dtype, _Given) else ()
    right = isinstance(shape, tuple) and len(shape) == 2 and shape[1] == PIXELS and isinstance(content, bytes)
    if not right or fortran or kind not in (("u1",), (b"u1",)) or len(content) != shape[0] * PIXELS:
        raise UserError(f"{path}: data is no array of bytes [n, {PIXELS}]", DAMAGED)
    return np.frombuffer(content, np.uint8).reshape(-1, PIXELS)
