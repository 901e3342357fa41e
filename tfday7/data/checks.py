"""What must hold of every source's arrays, whatever they come from; each error names the split and the example."""

from __future__ import annotations

import logging

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.lazy import Inputs, LazyInputs, chunks

MAX_CLASSES = 100_000
MAX_FLOAT_CLASSES, MIN_REPEATS = 20, 5
_Split = tuple[Inputs, np.ndarray]


def check_arrays(split: str, x: Inputs, y: np.ndarray) -> _Split:
    """Returns the arrays with `y` of shape [n, 1] flattened.

    Raises:
        UserError: empty, of different lengths, no numbers, NaN or infinite, or too large for float32.
    """
    if x.ndim < 2:
        raise UserError(
            f"{split}: inputs have the shape {x.shape}; expected [examples, ...] with at least two dimensions"
        )
    if len(x) == 0 or x.size == 0:
        raise UserError(f"{split}: inputs have the shape {x.shape}: there is nothing to learn from")
    if y.ndim == 0 or len(x) != len(y) or y.size == 0:
        raise UserError(f"{split}: {len(x)} inputs but labels of shape {y.shape}", "expected one label an example")
    if x.dtype.kind not in "fiub":
        raise UserError(f"{split}: inputs are of type {x.dtype}; expected numbers")
    if y.ndim > 2:
        raise UserError(f"{split}: labels have the shape {y.shape}; expected [examples] or [examples, outputs]")
    if y.dtype.kind not in "fiubUS":
        raise UserError(f"{split}: labels are of type {y.dtype}; expected numbers or strings")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "backslashreplace")
    for name, values in (("inputs", x), ("labels", y)):
        if values.dtype.kind == "f" and not (isinstance(values, LazyInputs) and values.finite):
            _check_finite(split, name, values)
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def decode_one_hot(parts: dict[str, _Split]) -> dict[str, _Split]:
    """Returns the splits with one-hot labels as class indices; other labels come back as they are."""
    if not all(_is_one_hot(y) for _, y in parts.values()):
        return parts
    return {key: (x, y.argmax(axis=1)) for key, (x, y) in parts.items()}


def decide_task(task: str, y: np.ndarray) -> str:
    """Returns the task: what is asked for, or with "auto" what the labels look like, as in `Problem.task`.

    Raises:
        UserError: the labels cannot serve the task asked for.
    """
    whole = _is_whole(y)
    if task == "auto":
        task = "classification" if _look_like_classes(y) else "multilabel" if _look_like_sets(y) else "regression"
    if task == "multilabel" and y.ndim != 2:
        raise UserError(
            f"--task=multilabel but labels have the shape {y.shape}; expected [examples, labels] of 0 and 1",
            "give one column a label, or leave --task out where an example has one class",
        )
    if task == "regression" and y.dtype.kind == "U" and y.ndim == 2:
        raise UserError(f"labels are words in an array of shape {y.shape}", "give one word an example")
    if task == "regression" and y.dtype.kind == "U":
        raise UserError(
            "--task=regression but the labels are words",
            "encode the labels as numbers, or give --task=classification if these are classes",
        )
    if task == "classification" and y.ndim == 2:
        raise UserError(f"--task=classification but labels have the shape {y.shape}", "give one class index an example")
    if task == "classification" and not whole:
        raise UserError("--task=classification but the labels have fractional parts", "leave --task out for regression")
    return task


def check_alike(parts: dict[str, _Split]) -> None:
    """Raises UserError when a split's inputs or labels are not of the kind that the training split has."""
    x, y = parts["train"]
    for key, (other_x, other_y) in parts.items():
        for name, have, want in (("inputs", other_x, x), ("labels", other_y, y)):
            if have.shape[1:] != want.shape[1:]:
                raise UserError(
                    f"{key}: {name} of one example have the shape {have.shape[1:]}; expected {want.shape[1:]} as in "
                    "the training split"
                )
            words = have.dtype.kind == "U"
            if words != (want.dtype.kind == "U"):
                raise UserError(f"{key}: {name} are {'words' if words else 'numbers'}, unlike in the training split")
        if (other_x.dtype == np.uint8) != (x.dtype == np.uint8):
            raise UserError(
                f"{key}: inputs are of type {other_x.dtype}, but {x.dtype} in the training split",
                "bytes are scaled to [0, 1], other numbers are not: save all splits alike",
            )


def check_labels(parts: dict[str, _Split], class_names: tuple[str, ...]) -> tuple[dict[str, _Split], tuple[str, ...]]:
    """Returns the splits with int64 class indices, and one name a class.

    Words become indices in sorted order; whole numbers are indices already.

    Raises:
        UserError: a label outside the range, or only one class.
    """
    for key, (_, y) in parts.items():
        if not _is_whole(y):
            raise UserError(f"{key}: labels have fractional parts; expected class indices as in the training split")
    train_labels = parts["train"][1]
    if train_labels.dtype.kind == "U":
        class_names = tuple(str(name) for name in np.unique(train_labels))
        parts = {key: (x, _word_indices(key, y, class_names)) for key, (x, y) in parts.items()}
    else:
        parts = {key: (x, y.astype(np.int64)) for key, (x, y) in parts.items()}
        highest = int(parts["train"][1].max())
        if highest >= MAX_CLASSES:
            hint = "give class indices from 0, or --task=regression if these are values"
            raise UserError(f"train: label {highest} would mean {highest + 1:,} classes", hint)
        class_names = class_names or tuple(str(index) for index in range(highest + 1))
    if len(np.unique(parts["train"][1])) < 2:
        raise UserError("all training examples have the same label", "a classifier needs at least two classes")
    for key, (_, y) in parts.items():
        bad = np.flatnonzero((y < 0) | (y >= len(class_names)))
        if bad.size:
            expected = f"expected 0 to {len(class_names) - 1} as in the training split"
            raise UserError(f"{key}: example {bad[0]} has label {y[bad[0]]}; {expected}")
    _warn_of_empty_classes(parts["train"][1], class_names)
    return parts, class_names


def _warn_of_empty_classes(y: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Says so where classes have no example to learn from: numbers with gaps are perhaps not counted from 0."""
    empty = np.setdiff1d(np.arange(len(class_names)), y)
    if empty.size:
        named = ", ".join(class_names[index] for index in empty[:5]) + (", ..." if empty.size > 5 else "")
        logging.warning(
            "%d of %d classes have no example to learn from: %s (give labels that do not count from 0 as words)",
            empty.size, len(class_names), named,
        )  # fmt: skip


def check_label_sets(
    parts: dict[str, _Split], class_names: tuple[str, ...]
) -> tuple[dict[str, _Split], tuple[str, ...]]:
    """Returns the splits with labels 0 and 1 as float32 [n, labels], and one name a label: their indices if none given.

    Raises:
        UserError: something else than 0 and 1, names that are not one a label, or no label in the training split.
    """
    labels = parts["train"][1].shape[1]
    if class_names and len(class_names) != labels:
        raise UserError(f"{len(class_names)} label names, but the labels have {labels} columns")
    for key, (_, y) in parts.items():
        bad = np.zeros((1, 2), int) if y.dtype.kind == "U" else np.argwhere((y != 0) & (y != 1))
        if len(bad):
            example, label = bad[0]
            raise UserError(
                f"{key}: example {example} has {y[example, label]!s} for label {label}; expected 0 or 1",
                "1 where the label applies to the example, 0 where it does not",
            )
    if not parts["train"][1].any():
        raise UserError("no training example has any label", "there is nothing to learn from zeros alone")
    names = class_names or tuple(str(index) for index in range(labels))
    return {key: (x, y.astype(np.float32)) for key, (x, y) in parts.items()}, names


def _look_like_sets(y: np.ndarray) -> bool:
    """Columns of 0 and 1 are labels of which an example may have several, unless nobody has any."""
    return y.ndim == 2 and y.dtype.kind in "fiub" and bool(np.all((y == 0) | (y == 1)) and np.any(y == 1))


def _is_one_hot(y: np.ndarray) -> bool:
    return y.ndim == 2 and y.dtype.kind in "fiub" and bool(np.all((y == 0) | (y == 1)) and np.all(y.sum(axis=1) == 1))


def _look_like_classes(y: np.ndarray) -> bool:
    """Words and whole numbers are classes, unless whole numbers hardly ever repeat, as prices or ages in days do."""
    if y.ndim != 1:
        return False
    if y.dtype.kind == "f":  # Class indices that were saved as floats: 0 to k, each of them many times.
        values = np.unique(y)
        indices = np.array_equal(values, np.arange(len(values)))
        return indices and len(values) <= MAX_FLOAT_CLASSES and len(y) >= MIN_REPEATS * len(values)
    return y.dtype.kind == "U" or len(np.unique(y)) <= max(20, len(y) // 5)


def _is_whole(y: np.ndarray) -> bool:
    return y.dtype.kind != "f" or bool(np.all(y == np.round(y)))


def _check_finite(split: str, name: str, values: Inputs) -> None:
    count, example, first = 0, -1, 0
    for part in chunks(values):
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(part.astype(np.float32, copy=False))
        if bad.any():
            example = example if count else first + int(np.argwhere(bad)[0][0])
            count += int(bad.sum())
        first += len(part)
    if count:
        raise UserError(
            f"{split}: {name} of example {example} hold NaN, infinity or a number beyond float32 "
            f"({count:,} values in all)",
            "remove or fill these examples before training",
        )


def _word_indices(split: str, y: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    unknown = np.flatnonzero(~np.isin(y, class_names))
    if unknown.size:
        label = str(y[unknown[0]])
        raise UserError(f"{split}: example {unknown[0]} has the label {label!r}, which no training example has")
    return np.searchsorted(np.array(class_names), y).astype(np.int64)
