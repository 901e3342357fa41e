"""From raw arrays to a checked data set: task, labels, scaling, splits and fingerprint, in this order.

Where a split has to be made it follows a hash of each example's content and never `--seed`: every command sees the same
test set, equal examples always fall on the same side (so a duplicate can never leak into the test), and an example
keeps its side when more data is added.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.checks import check_alike, check_arrays, check_labels, decide_task, decode_one_hot
from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset, Examples, Problem
from tfday7.data.source import Raw, find_source

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.15
VALIDATION_SHARE_OF_GIVEN_TRAIN = 0.10  # Where the test set is given, more of the rest can train.

_Split = tuple[np.ndarray, np.ndarray]


def load(config: DataConfig) -> Dataset:
    """Loads, checks and splits the data that `--data` names.

    Raises:
        UserError: no such data, or something is wrong with it; the message says what and where.
    """
    raw = find_source(config).load(config)
    name = Path(config.data).stem if Path(config.data).suffix else config.data
    try:
        return prepare(raw, name, config.task)
    except UserError as error:
        raise UserError(f"{config.data}: {error.message}", error.hint) from error


def prepare(raw: Raw, name: str, task: str = "auto") -> Dataset:
    """Turns the arrays of a source into a data set.

    Args:
        raw: what the source found.
        name: what to call the data set.
        task: "classification", "regression", or "auto" to decide by the labels.

    Raises:
        UserError: as `load`.
    """
    parts = {"train": (raw.x, raw.y), "validation": raw.validation, "test": raw.test}
    given = {key: check_arrays(key, *part) for key, part in parts.items() if part is not None}
    check_alike(given)
    if task != "regression":
        given = decode_one_hot(given)
    task = decide_task(task, given["train"][1])
    class_names: tuple[str, ...] = ()
    if task == "classification":
        given, class_names = check_labels(given, raw.class_names)
    else:
        given = {key: (x, y.astype(np.float32).reshape(len(y), -1)) for key, (x, y) in given.items()}
    given, preprocessing = _scaled(given)
    train, validation, test = _splits(given)
    return Dataset(
        name=name,
        problem=_problem(task, class_names, train),
        train=train,
        validation=validation,
        test=test,
        fingerprint=_fingerprint((train, validation, test), class_names),
        preprocessing=preprocessing,
    )


def content_hashes(x: np.ndarray) -> np.ndarray:
    """Returns one float64 in [0, 1) per example, uniform, a function of the example's values alone."""
    x = x + np.zeros((), x.dtype)  # -0.0 becomes 0.0: what is equal has equal bytes.
    digests = (hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).digest() for row in x)
    return np.frombuffer(b"".join(digests), ">u8").astype(np.float64) / 2.0**64


def _scaled(parts: dict[str, _Split]) -> tuple[dict[str, _Split], str]:
    """Brings inputs to float32; bytes in arrays of two or more dimensions are pixels, and go to [0, 1]."""
    x = parts["train"][0]
    if x.dtype == np.uint8 and x.ndim >= 3:
        return {key: (x.astype(np.float32) / 255.0, y) for key, (x, y) in parts.items()}, "pixels / 255"
    return {key: (np.asarray(x, np.float32), y) for key, (x, y) in parts.items()}, ""


def _splits(given: dict[str, _Split]) -> tuple[Examples, Examples, Examples]:
    x, y = given["train"]
    side = content_hashes(x)
    test_share = 0.0 if "test" in given else TEST_SHARE
    share = VALIDATION_SHARE_OF_GIVEN_TRAIN if "test" in given else VALIDATION_SHARE
    validation_share = 0.0 if "validation" in given else share
    in_test = side < test_share
    in_validation = ~in_test & (side < test_share + validation_share)
    parts = {
        "train": (x[~in_test & ~in_validation], y[~in_test & ~in_validation]),
        "validation": given.get("validation", (x[in_validation], y[in_validation])),
        "test": given.get("test", (x[in_test], y[in_test])),
    }
    for key, (part, _) in parts.items():
        if len(part) == 0:
            raise UserError(
                f"no example is left for the {key} split of {len(x)} examples",
                "give more examples, or an .npz file with x_train, x_val and x_test of your own",
            )
    return Examples(*parts["train"]), Examples(*parts["validation"]), Examples(*parts["test"])


def _problem(task: str, class_names: tuple[str, ...], train: Examples) -> Problem:
    kind = {1: "tabular", 3: "image"}.get(train.x.ndim - 1, "array")
    tabular, regression = kind == "tabular", task == "regression"
    return Problem(
        task=task,
        kind=kind,
        input_shape=train.x.shape[1:],
        outputs=train.y.shape[1] if regression else len(class_names),
        class_names=class_names,
        feature_mean=_mean(train.x) if tabular else None,
        feature_std=_std(train.x) if tabular else None,
        target_mean=_mean(train.y) if regression else None,
        target_std=_std(train.y) if regression else None,
    )


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=0, dtype=np.float64).astype(np.float32)


def _std(values: np.ndarray) -> np.ndarray:
    """Returns the standard deviation per column; 1 for a constant column, which then stays constant."""
    std = values.std(axis=0, dtype=np.float64).astype(np.float32)
    return np.where(std > 0, std, np.float32(1))


def _fingerprint(splits: tuple[Examples, ...], class_names: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(repr(class_names).encode(), digest_size=8)
    for split in splits:
        for array in (split.x, split.y):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
