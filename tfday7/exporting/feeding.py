"""From what an app has to what a file takes, and back: the arithmetic that a record describes.

    x = (raw / divisor - mean) / std        what the file takes, quantized by its own scale
    answer = y * std + mean                 from what the file gives, dequantized

`divisor`, `mean` and `std` are the record's; each step is left out where the record has none. Token ids stay as they
are. Mean and std are applied in float64 and rounded once, to float32.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting.records import Artefact
from tfday7.runtimes import Runner

WHOLE = ("int8", "uint8", "int16", "int32")  # Types of quantized numbers.
_DIVISOR = re.compile(r"pixels / ([0-9]+(?:\.[0-9]+)?)$")


def divisor_of(preprocessing: str) -> float:
    """Returns what raw values are divided by, by a data set's `preprocessing`: 255.0 for "pixels / 255", or 1."""
    found = _DIVISOR.search(preprocessing)
    return float(found.group(1)) if found else 1.0


def divided(raw: np.ndarray, end: dict[str, Any]) -> np.ndarray:
    """Returns what the model was trained on, for raw values; `end` is a record's input."""
    divisor = np.float32(end.get("divisor") or 1.0)
    return raw if divisor == 1 or raw.dtype.kind != "f" else raw / divisor


def raw_of(x: np.ndarray, divisor: float) -> np.ndarray:
    """Returns raw values that were divided; whole numbers where all of them are, up to rounding."""
    if divisor == 1 or x.dtype.kind != "f":
        return x
    raw = x * np.float32(divisor)
    whole = np.rint(raw)
    return whole if np.allclose(raw, whole, rtol=0, atol=1e-3) else raw


def standardized(x: np.ndarray, end: dict[str, Any]) -> np.ndarray:
    """Returns what the file takes, real-valued, for what the model was trained on; `end` is a record's input."""
    scaling = end.get("standardization")
    if not scaling:
        return x
    return ((x - np.asarray(scaling["mean"])) / np.asarray(scaling["std"])).astype(np.float32)


def restored(y: np.ndarray, end: dict[str, Any]) -> np.ndarray:
    """Returns the model's answers for what the file gives, real-valued; `end` is a record's output."""
    scaling = end.get("standardization")
    if not scaling:
        return y
    return (y * np.asarray(scaling["std"]) + np.asarray(scaling["mean"])).astype(np.float32)


def limits(end: dict[str, Any]) -> tuple[int, int]:
    """Returns the smallest and the largest number of a quantized end of a file; what is beyond is cut off.

    Raises:
        UserError: its type is none of whole numbers.
    """
    if end.get("dtype") not in WHOLE:
        message = f"a record has a scale for {end.get('dtype')!r}; expected {', '.join(WHOLE)}"
        raise UserError(message, "export the model again")
    found = np.iinfo(end["dtype"])
    return int(found.min), int(found.max)


def predict(runner: Runner, artefact: Artefact, x: np.ndarray) -> np.ndarray:
    """Returns an artefact's answers [n, ...] for inputs [n, ...] as a data set has them: divided already."""
    return restored(runner.predict(standardized(x, artefact.input)), artefact.output)
