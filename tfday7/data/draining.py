"""From a `tf.data.Dataset`, which can only be read in its own order, to a file that is read by index.

It is read once, in the order that it gives: after that it is shuffled as a whole, split by content, hashed and resumed
like any other data. The file has no name: it is gone with the process, however that ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.mapped_splits import Arrays

DEFAULT_MAX_EXAMPLES = 10_000_000


def drain(dataset: Any, where: str, max_examples: int | None = None) -> Arrays:
    """Returns the inputs of a dataset as a mapped array [n, ...], and its labels.

    Elements are (x, y), one example or a batch of them: a batch when the first dimensions of x and y are equal (or
    unknown), and x has another dimension.

    Args:
        dataset: a `tf.data.Dataset`.
        where: what to call it in errors.
        max_examples: more is an error; None means 10 million.

    Raises:
        UserError: elements of another structure, an example of another shape, none at all, too many, or the dataset's
            own code fails.
    """
    x_spec, y_spec = _specs(dataset.element_spec, where)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(f"{where}: the dataset never ends", "leave out .repeat(); epochs are counted by --epochs")
    store = _Store(where, max_examples or DEFAULT_MAX_EXAMPLES)
    batched = _is_batched(x_spec.shape, y_spec.shape)
    for x, y in _elements(dataset, store):
        store.add(x if batched else x[np.newaxis], y if batched else np.asarray(y)[np.newaxis])
    return store.arrays()


class _Store:
    """Examples on their way into a file."""

    def __init__(self, where: str, limit: int) -> None:
        self.where = where
        self.limit = limit
        self.count = 0
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="tfday7-")  # noqa: SIM115 - mapped, and gone with the map.
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype(np.float32)
        self.labels: list[np.ndarray] = []

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Adds a batch: inputs [batch, ...] and labels [batch, ...]."""
        if x.dtype.kind not in "fiub":  # bfloat16 is no type of NumPy's own.
            x = x.astype(np.float32)
        if not self.labels:
            self.shape, self.dtype = x.shape[1:], x.dtype
        for name, have, want in (
            ("x", x, self.shape),
            ("y", y, self.labels[0].shape[1:] if self.labels else y.shape[1:]),
        ):
            if have.shape[1:] != want:
                raise UserError(
                    f"{self.where}: {name} of example {self.count} has the shape {have.shape[1:]}; expected {want} as "
                    "before",
                    "resize or pad the examples to one shape",
                )
        if len(x) != len(y):
            raise UserError(f"{self.where}: example {self.count}: a batch of {len(x)} inputs and {len(y)} labels")
        self.count += len(x)
        if self.count > self.limit:
            raise UserError(
                f"{self.where}: more than {self.limit:,} examples", "does it end? --max_examples=N allows more"
            )
        try:
            self.file.write(np.ascontiguousarray(x).data)
        except OSError as error:
            folder = tempfile.gettempdir()
            raise UserError(
                f"{self.where}: example {self.count} cannot be kept in {folder} ({error.strerror})",
                "set TMPDIR to a folder with more space",
            ) from error
        self.labels.append(y)

    def arrays(self) -> Arrays:
        """Returns all inputs and labels."""
        if self.count == 0:
            raise UserError(f"{self.where}: the dataset gives no examples")
        if 0 in self.shape:
            raise UserError(f"{self.where}: examples have the shape {self.shape}: there is nothing to learn from")
        self.file.flush()
        with self.file:
            x = np.memmap(self.file, self.dtype, mode="r", shape=(self.count, *self.shape))
        y = np.concatenate(self.labels)
        if y.dtype.kind in "OS":
            y = np.array([label.decode("utf-8", "backslashreplace") for label in np.ravel(y)]).reshape(y.shape)
        return x, y


def _specs(element: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(element, tuple) or len(element) != 2:
        weights = "; weights of examples are not supported" if isinstance(element, tuple) and len(element) == 3 else ""
        raise UserError(f"{where}: the dataset gives {_describe(element)}{weights}", "expected pairs (x, y)")
    for name, spec in zip("xy", element, strict=True):
        if not isinstance(spec, tf.TensorSpec):
            raise UserError(f"{where}: {name} is {_describe(spec)}", "expected one dense tensor of one shape")
        if spec.shape.rank is None:
            raise UserError(f"{where}: {name} has no known rank", "from_generator needs output_signature with shapes")
    if not (element[0].dtype.is_floating or element[0].dtype.is_integer or element[0].dtype.is_bool):
        raise UserError(f"{where}: x is of type {element[0].dtype.name}; expected numbers")
    return element


def _is_batched(x: Any, y: Any) -> bool:
    return x.rank >= 2 and y.rank >= 1 and x[0] == y[0]


def _elements(dataset: Any, store: _Store) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    options = tf.data.Options()
    options.deterministic = True
    elements = dataset.with_options(options).as_numpy_iterator()
    while True:
        try:
            element = next(elements, None)
        except MemoryError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise UserError(
                f"{store.where}: failed after {store.count} examples ({type(error).__name__}: {said})"
            ) from error
        if element is None:
            return
        yield element


def _describe(element: Any) -> str:
    if isinstance(element, tuple):
        return f"{len(element)} values"
    if isinstance(element, dict):
        return f"a dict of {', '.join(map(str, list(element)[:5]))}"
    kinds = {
        "RaggedTensorSpec": "a ragged tensor",
        "SparseTensorSpec": "a sparse tensor",
        "TensorSpec": "a single tensor",
    }
    return kinds.get(type(element).__name__, type(element).__name__)
