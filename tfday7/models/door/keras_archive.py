"""Reads `.keras` files: a zip of the settings (`config.json`) and the weights (`model.weights.h5`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfday7.core.frameworks import keras3


def read(path: Path, allow_unsafe: bool) -> Any:
    """Returns the live Keras model of a file."""
    return keras3.models.load_model(path, compile=False, safe_mode=not allow_unsafe)
