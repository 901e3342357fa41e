"""Test vectors: a few test examples, raw as an app has them, with the Keras model's answers.

They lie beside the artefacts, so that a file can be tried on a device, by another runtime, or next year, without the
data set: `<run name>_vectors.npz` with `raw` [n, ...] (float32, or int32 token ids) and `keras` [n, ...] (float32).
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfday7.core import files
from tfday7.core.errors import UserError

# What NumPy raises on a file that is none of its own.
UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
MAX_EXAMPLES = 64
MAX_BYTES = 2**22  # Large images: fewer of them. They are copied to phones, and two models' are committed.


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Inputs and the answers of the Keras model.

    Attributes:
        raw: [n, ...], float32 or int32, before anything is done to them.
        keras: [n, ...], float32, the model's outputs.
    """

    raw: np.ndarray
    keras: np.ndarray

    def __len__(self) -> int:
        return len(self.raw)


def write(path: Path, vectors: Vectors) -> None:
    """Writes the vectors; the same vectors give the same bytes. Raises UserError when the folder cannot be written."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, raw=vectors.raw, keras=vectors.keras)
    files.write_bytes(path, buffer.getvalue())


def read(path: Path) -> Vectors:
    """Reads vectors. Raises UserError when the file is missing, damaged, or holds something else."""
    hint = "export the model again"
    if not path.is_file():
        raise UserError(f"{path}: no such file", hint)
    try:
        with np.load(path, allow_pickle=False) as stored:
            vectors = Vectors(np.asarray(stored["raw"]), np.asarray(stored["keras"]))
    except UNREADABLE as error:
        raise UserError(f"{path}: not a file of test vectors ({error})", hint) from error
    raw, keras = vectors.raw, vectors.keras
    as_many = bool(raw.shape) and raw.shape[:1] == keras.shape[:1] and len(raw) > 0
    if raw.dtype not in (np.float32, np.int32) or keras.dtype != np.float32 or not as_many:
        found = f"raw {raw.dtype}{raw.shape}, keras {keras.dtype}{keras.shape}"
        raise UserError(f"{path}: {found}; expected as many float32 answers as float32 or int32 inputs", hint)
    if not np.isfinite(raw).all() or not np.isfinite(keras).all():
        raise UserError(f"{path}: holds NaN or infinity", hint)
    return vectors


def is_one(path: Path) -> bool:
    """Returns whether a file holds test vectors, as `write` leaves them."""
    try:
        read(path)
    except UserError:
        return False
    return True


def fitting(examples: int, bytes_each: int) -> int:
    """Returns how many examples to keep: 64, fewer of large ones, at least 1."""
    return max(1, min(MAX_EXAMPLES, examples, MAX_BYTES // max(bytes_each, 1)))
