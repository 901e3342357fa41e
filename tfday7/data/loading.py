"""From raw arrays to a checked data set: task, labels, scaling, splits and fingerprint, in this order.

Where a split has to be made it follows a hash of each example's content and never `--seed`: every command sees the same
test set, equal examples always fall on the same side (so a duplicate can never leak into the test), and an example
keeps its side when more data is added.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping

import numpy as np
from absl import logging

from tfday7.core.errors import UserError
from tfday7.data import heads, lazy
from tfday7.data.checks import (
    check_alike,
    check_arrays,
    check_label_sets,
    check_labels,
    decide_task,
    decode_one_hot,
)
from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset, Examples, Problem
from tfday7.data.lazy import Inputs, LazyInputs
from tfday7.data.source import Raw, find_source

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.15
VALIDATION_SHARE_OF_GIVEN_TRAIN = 0.10  # Where the test set is given, more of the rest can train.

_Split = tuple[Inputs, np.ndarray]


def load(config: DataConfig) -> Dataset:
    """Loads, checks and splits the data that `--data` names.

    Raises:
        UserError: no such data, or something is wrong with it; the message says what and where.
    """
    raw = find_source(config).load(config)
    try:
        return prepare(raw, config.name(), config.task)
    except UserError as error:
        raise UserError(f"{config.data}: {error.message}", error.hint) from error


def prepare(raw: Raw, name: str, task: str = "auto") -> Dataset:
    """Turns the arrays of a source into a data set.

    Args:
        raw: what the source found.
        name: what to call the data set.
        task: as in `Problem.task`, or "auto" to decide by the labels.

    Raises:
        UserError: as `load`.
    """
    y, several = _side_by_side(raw, task)
    task = heads.SEVERAL if several else task
    parts = {"train": (raw.x, y), "validation": raw.validation, "test": raw.test}
    if task == "reconstruction":
        parts = _without_labels(parts, raw)
    given = {key: check_arrays(key, *part) for key, part in parts.items() if part is not None}
    check_alike(given)
    if task in ("auto", "classification"):
        given = decode_one_hot(given)
    task = decide_task(task, given["train"][1])
    class_names: tuple[str, ...] = ()
    if task == "classification":
        given, class_names = check_labels(given, raw.class_names)
    elif task == "multilabel":
        given, class_names = check_label_sets(given, raw.class_names)
    else:
        given = {key: (x, y.astype(np.float32).reshape(len(y), -1)) for key, (x, y) in given.items()}
    given, preprocessing = _scaled(given, is_text=bool(raw.vocabulary))
    given, dropped = _without_repeats(given)
    train, validation, test, groups = _splits(given, raw.groups)
    targets = (repr((head.name, head.class_names)) for head in several)
    named = (*class_names, *targets, *raw.vocabulary, *filter(None, [raw.origin]))
    fingerprint = _fingerprint((train, validation, test), named)
    if task == "reconstruction":
        train, validation, test = (Examples(part.x, part.x) for part in (train, validation, test))
    return Dataset(
        name=name,
        problem=_with_heads(_problem(task, class_names, train, raw), several),
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint,
        preprocessing=raw.preprocessing or preprocessing,
        dropped_duplicates=dropped,
        skipped=raw.skipped,
        groups=groups,
    )


def _side_by_side(raw: Raw, task: str) -> tuple[np.ndarray, tuple[Problem, ...]]:
    """Returns the labels, of targets of different kinds side by side, and the head of each of those."""
    if not isinstance(raw.y, Mapping):
        return raw.y, ()
    if task == "reconstruction":  # Labels have no part in it, whatever they are.
        return np.zeros(len(raw.x), np.float32), ()
    return heads.encode(raw.x, raw.y, task)


def _without_labels(parts: dict[str, _Split | None], raw: Raw) -> dict[str, _Split | None]:
    """Returns the splits with zeros for labels; what is learned from them is how to give the inputs again."""
    if raw.vocabulary:
        raise UserError("--task=reconstruction gives numbers again, but the data is text", "leave --task out")
    return {key: (part[0], np.zeros(part[0].shape[:1], np.float32)) if part else None for key, part in parts.items()}


def _without_repeats(parts: dict[str, _Split]) -> tuple[dict[str, _Split], int]:
    """Drops from given training and validation splits what lies in a later split too, and says how many that were.

    Without this a model would be tested on examples that it was trained on.

    Raises:
        UserError: nothing would be left of a split.
    """
    seen: set[bytes] = set()
    dropped = 0
    kept = dict(parts)
    for key in ("test", "validation", "train"):
        if key not in parts or len(parts) == 1:
            continue
        x, y = parts[key]
        digests = list(lazy.digests(x))
        fresh = np.array([digest not in seen for digest in digests])
        if not fresh.any():
            raise UserError(
                f"all {len(x):,} examples of the {key} split lie in a later split too, so that none is left",
                "give each split examples of its own, or the training split alone, which is then split",
            )
        if not fresh.all():
            dropped += int((~fresh).sum())
            kept[key] = (lazy.take(x, np.flatnonzero(fresh)), y[fresh])
        seen.update(digests)
    if dropped:
        logging.warning("%d examples were dropped because they are in a later split too", dropped)
    return kept, dropped


def content_hashes(x: Inputs) -> np.ndarray:
    """Returns one float64 in [0, 1) per example, uniform, a function of the example's values alone."""
    return np.frombuffer(b"".join(lazy.digests(x)), ">u8").astype(np.float64) / 2.0**64


def trains(groups: np.ndarray) -> np.ndarray:
    """Returns bool [n]: whether examples of these groups will train, where the source brings no split of its own.

    A source that learns something from its examples (a vocabulary) may learn from these alone.
    """
    return content_hashes(groups[:, np.newaxis]) >= TEST_SHARE + VALIDATION_SHARE


def _scaled(parts: dict[str, _Split], is_text: bool) -> tuple[dict[str, _Split], str]:
    """Brings inputs to float32; bytes in arrays of two or more dimensions are pixels, and go to [0, 1].

    Lazy inputs are scaled by their source, where they are read; token ids of text stay whole numbers.
    """
    x = parts["train"][0]
    if isinstance(x, LazyInputs) or is_text:
        return parts, ""
    if x.dtype == np.uint8 and x.ndim >= 3:
        return {key: (np.asarray(x, np.float32) / 255.0, y) for key, (x, y) in parts.items()}, "pixels / 255"
    return {key: (np.asarray(x, np.float32), y) for key, (x, y) in parts.items()}, ""


def _splits(
    given: dict[str, _Split], groups: np.ndarray | None
) -> tuple[Examples, Examples, Examples, np.ndarray | None]:
    """Returns the three splits, and the groups of the training split."""
    x, y = given["train"]
    side = content_hashes(x) if groups is None else content_hashes(groups[:, np.newaxis])
    test_share = 0.0 if "test" in given else TEST_SHARE
    share = VALIDATION_SHARE_OF_GIVEN_TRAIN if "test" in given else VALIDATION_SHARE
    validation_share = 0.0 if "validation" in given else share
    in_test = side < test_share
    in_validation = ~in_test & (side < test_share + validation_share)

    def part(chosen: np.ndarray) -> _Split:
        return lazy.take(x, np.flatnonzero(chosen)), y[chosen]

    parts = {
        "train": part(~in_test & ~in_validation),
        "validation": given.get("validation", part(in_validation)),
        "test": given.get("test", part(in_test)),
    }
    for key, (inputs, _) in parts.items():
        if len(inputs) == 0:
            raise UserError(
                f"no example is left for the {key} split of {len(x)} examples",
                "give more examples, or an .npz file with x_train, x_val and x_test of your own",
            )
    kept = None if groups is None else groups[~in_test & ~in_validation]
    return Examples(*parts["train"]), Examples(*parts["validation"]), Examples(*parts["test"]), kept


def _problem(task: str, class_names: tuple[str, ...], train: Examples, raw: Raw) -> Problem:
    kind = "text" if raw.vocabulary else {1: "tabular", 2: "series", 3: "image"}.get(train.x.ndim - 1, "array")
    regression = task in ("regression", heads.SEVERAL)
    again = task == "reconstruction"
    measured = kind in ("tabular", "series") or again
    mean, std = (raw.moments or _moments(train.x)) if measured else (None, None)
    scaled = (mean, std) if kind in ("tabular", "series") else (None, None)
    target_mean, target_std = _moments(train.y) if regression else (mean, std) if again else (None, None)
    return Problem(
        task=task,
        kind=kind,
        input_shape=train.x.shape[1:],
        outputs=math.prod(train.x.shape[1:]) if again else len(class_names) or train.y.shape[1],
        class_names=class_names,
        vocabulary=raw.vocabulary,
        feature_mean=scaled[0],
        feature_std=scaled[1],
        target_mean=target_mean,
        target_std=target_std,
        encoding=raw.encoding,
    )


def _with_heads(problem: Problem, several: tuple[Problem, ...]) -> Problem:
    if not several or problem.target_mean is None or problem.target_std is None:
        return problem
    several, mean, std = heads.with_moments(several, problem.target_mean, problem.target_std)
    return dataclasses.replace(problem, heads=several, target_mean=mean, target_std=std)


def _moments(values: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each last-axis column, float32; 1 for the deviation of a constant one.

    In two passes over chunks, so that neither memory nor large means matter.
    """
    columns = values.shape[-1]
    count = values.size // columns
    mean = sum(part.reshape(-1, columns).sum(axis=0, dtype=np.float64) for part in lazy.chunks(values)) / count
    squares = sum((np.square(part.reshape(-1, columns) - mean)).sum(axis=0) for part in lazy.chunks(values)) / count
    std = np.sqrt(squares).astype(np.float32)
    return np.asarray(mean, np.float32), np.where(std > 0, std, np.float32(1))


def _fingerprint(splits: tuple[Examples, ...], names: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8)
    for split in splits:
        digest.update(f"{split.x.dtype}{split.x.shape}{split.y.dtype}{split.y.shape}".encode())
        for content in lazy.digests(split.x):
            digest.update(content)
        digest.update(np.ascontiguousarray(split.y).data)
    return digest.hexdigest()
