"""Splits whose inputs lie in mapped files: what must hold of them before they become numbers that are read by index."""

from __future__ import annotations

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.lazy import Inputs, Mapped
from tfday7.data.source import Raw

Arrays = tuple[np.ndarray, np.ndarray]


def as_raw(splits: dict[str, Arrays], where: str, class_names: tuple[str, ...] = ()) -> Raw:
    """Returns the splits with inputs that are read when they are asked for; bytes in images and series are pixels.

    Args:
        splits: (x, y) by "train", "validation" and "test"; "train" is among them.
        where: what to call the data in errors.
        class_names: names for whole-number labels; empty when the numbers are the names.

    Raises:
        UserError: inputs are no numbers, or bytes in one split only.
    """
    for split, (x, _) in splits.items():
        if x.dtype.kind not in "fiub":
            raise UserError(f"{where}: {split}: inputs are of type {x.dtype}; expected numbers")
    train = splits["train"][0]
    for split, (x, _) in splits.items():
        if (x.dtype == np.uint8) != (train.dtype == np.uint8):
            raise UserError(
                f"{where}: {split}: inputs are of type {x.dtype}, but {train.dtype} in the training split",
                "bytes are scaled to [0, 1], other numbers are not: save all splits alike",
            )
    pixels = train.dtype == np.uint8 and train.ndim >= 3
    lazy: dict[str, tuple[Inputs, np.ndarray]] = {
        split: (Mapped(x, 255.0 if pixels else 1.0) if x.ndim else x, y) for split, (x, y) in splits.items()
    }
    return Raw(
        *lazy["train"],
        validation=lazy.get("validation"),
        test=lazy.get("test"),
        class_names=class_names,
        preprocessing="pixels / 255" if pixels else "",
    )
