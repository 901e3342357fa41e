"""Inputs that do not fit into memory: read by index, a batch at a time, whenever they are asked for.

A `LazyInputs` can be used where an array of inputs is read: it has a shape, a length, and gives arrays for slices and
index arrays. Because it is addressed by index, a data set on disk is shuffled as a whole and resumed at any step, as
one in memory is.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfday7.core.errors import UserError

CHUNK = 1024  # Examples read at once when all of them are visited,
CHUNK_BYTES = 2**24  # unless they are large.


class LazyInputs:
    """Base of inputs that are read when they are asked for. A subclass implements `read`.

    Args:
        shape: [n, ...], as an array would have it.
        dtype: of what `read` returns.

    Attributes:
        finite: whether the source has made sure that there is no NaN or infinity, so that nobody has to look again.
        failure: the error of a read inside a TensorFlow graph, which would only pass on its text.
    """

    finite = False
    failure: UserError | None = None

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns the examples at these indices, [len(indices), ...], in their order.

        Must be safe to call from several threads. Raises UserError naming the file of an example that cannot be read.
        """
        raise NotImplementedError

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """Yields the bytes that identify each example; equal examples give equal bytes."""
        for row in _without_minus_zero(self.read(indices)):
            yield row.tobytes()

    @property
    def ndim(self) -> int:
        """Number of dimensions, the examples' own axis included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        indices = np.arange(len(self))[chosen]
        return self.read(indices) if indices.ndim else self.read(indices[np.newaxis])[0]


class Subset(LazyInputs):
    """Some of the examples of other lazy inputs, in the order given.

    Args:
        base: where they are.
        indices: which ones.
    """

    def __init__(self, base: LazyInputs, indices: np.ndarray) -> None:
        super().__init__((len(indices), *base.shape[1:]), base.dtype)
        self.finite = base.finite
        self.base = base
        self.indices = indices

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        return self.base.read(self.indices[indices])

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """See `LazyInputs.contents`."""
        return self.base.contents(self.indices[indices])


class Mapped(LazyInputs):
    """An array in a file, such as `np.load(path, mmap_mode="r")` gives; only what is read takes memory.

    Args:
        array: the mapped array [n, ...] of numbers.
        divisor: every value is divided by it.
    """

    def __init__(self, array: np.ndarray, divisor: float = 1.0) -> None:
        super().__init__(array.shape, np.float32)
        self.array = array
        self.divisor = np.float32(divisor)
        self.finite = array.dtype.kind in "iub"

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`. What is beyond float32 becomes infinite."""
        with np.errstate(over="ignore"):
            values = np.array(self.array[indices], np.float32)
        if isinstance(self.array.base, mmap.mmap):
            # What was read, and what the kernel mapped around it, counts as this process's memory until it is given
            # back. Another thread that reads just now finds it again.
            self.array.base.madvise(mmap.MADV_DONTNEED)
        return values if self.divisor == 1.0 else np.divide(values, self.divisor, out=values)


Inputs = np.ndarray | LazyInputs


def take(inputs: Inputs, indices: np.ndarray) -> Inputs:
    """Returns the inputs at these indices; lazy ones stay lazy."""
    return Subset(inputs, indices) if isinstance(inputs, LazyInputs) else inputs[indices]


def chunks(inputs: Inputs) -> Iterator[np.ndarray]:
    """Yields all inputs in order, in arrays of at most 1,024 examples and about 16 MB."""
    size = _chunk_size(inputs)
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


def digests(inputs: Inputs) -> Iterator[bytes]:
    """Yields an 8-byte digest of each example's content; equal examples have equal digests."""
    size = _chunk_size(inputs)
    for start in range(0, len(inputs), size):
        if isinstance(inputs, LazyInputs):
            contents = inputs.contents(np.arange(start, min(start + size, len(inputs))))
        else:
            contents = (row.tobytes() for row in _without_minus_zero(inputs[start : start + size]))
        yield from (hashlib.blake2b(content, digest_size=8).digest() for content in contents)


def _without_minus_zero(values: np.ndarray) -> np.ndarray:
    return values + np.zeros((), values.dtype)  # -0.0 becomes 0.0: what is equal has equal bytes.


def _chunk_size(inputs: Inputs) -> int:
    bytes_each = inputs.size * inputs.dtype.itemsize // max(len(inputs), 1)
    return max(1, min(CHUNK, CHUNK_BYTES // max(bytes_each, 1)))
