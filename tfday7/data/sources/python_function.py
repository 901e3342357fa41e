"""python:MODULE:FUNCTION, a function of the user's own that returns `tf.data` datasets or NumPy arrays.

It is called without arguments and returns one split, (train, test), (train, validation, test), or a dict of them. A
split is a `tf.data.Dataset` of pairs, batched or not, or a pair (x, y) of arrays.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfday7.core import user_code
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.config import DataConfig
from tfday7.data.draining import drain
from tfday7.data.mapped_splits import Arrays, as_raw
from tfday7.data.source import SOURCES, Raw, source

KEYS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
BY_COUNT = {1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test")}
EXPECTED = (
    "expected (train), (train, test), (train, validation, test) or a dict, of tf.data datasets or pairs of arrays"
)


@SOURCES.register("python_function")
@source(
    prefix=user_code.PREFIX,
    form="python:MODULE:FUNCTION, a function that returns tf.data datasets",
    uses=("max_examples",),
)
def load(config: DataConfig) -> Raw:
    """Returns what the function gives; datasets are read once, to a file.

    Raises:
        UserError: there is no such function, it fails, or it gives something else.
    """
    user_code.check_form(config.data, "data")
    tf.random.set_seed(0)  # Loads TensorFlow as this program sets it up, before the user's module does.
    function = user_code.find_function(config.data, "data")
    # Datasets that shuffle or draw without a seed of their own then give the same in every run, so that it can resume.
    random.seed(0)
    np.random.seed(0)
    tf.random.set_seed(0)
    try:
        result = function()
    except MemoryError:
        raise
    except Exception as error:
        raise UserError(
            f"--data={config.data} failed ({user_code.describe(error)})", "it is called without arguments"
        ) from error
    return as_raw(_arrays(_splits(result, config.data), config), config.data)


def _splits(result: Any, where: str) -> dict[str, Any]:
    if isinstance(result, Mapping):
        unknown = [str(key) for key in result if key not in KEYS]
        if unknown:
            raise UserError(f"{where}: returned the split {unknown[0]!r}", f"known: {', '.join(KEYS)}")
        splits = {KEYS[key]: value for key, value in result.items() if value is not None}
    elif _is_split(result):
        splits = {"train": result}
    elif isinstance(result, (tuple, list)) and len(result) in BY_COUNT:
        splits = {name: part for name, part in zip(BY_COUNT[len(result)], result, strict=True) if part is not None}
    else:
        raise UserError(f"{where}: returned {_describe(result)}", EXPECTED)
    for name, part in splits.items():
        if not _is_split(part):
            raise UserError(f"{where}: the {name} split is {_describe(part)}", EXPECTED)
    if "train" not in splits:
        raise UserError(f"{where}: returned no train split", EXPECTED)
    return splits


def _arrays(splits: dict[str, Any], config: DataConfig) -> dict[str, Arrays]:
    return {
        name: drain(part, f"{config.data}: {name}", config.max_examples)
        if isinstance(part, tf.data.Dataset)
        else (np.asarray(part[0]), np.asarray(part[1]))
        for name, part in splits.items()
    }


def _is_split(part: Any) -> bool:
    if isinstance(part, tf.data.Dataset):
        return True
    pair = isinstance(part, (tuple, list)) and len(part) == 2
    return pair and all(hasattr(side, "__array__") and not isinstance(side, tf.data.Dataset) for side in part)


def _describe(result: Any) -> str:
    if isinstance(result, (tuple, list)):
        return f"{type(result).__name__} of {len(result)} ({', '.join(type(part).__name__ for part in result[:4])})"
    return f"an object of type {type(result).__name__}"
