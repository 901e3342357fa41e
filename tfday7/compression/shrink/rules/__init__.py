"""What each kind of layer does to channels: one rule a kind, in tables that `load` fills."""

from __future__ import annotations

import importlib

FAMILIES = (
    "attention", "convolution", "dense", "elementwise", "keras_operations", "merging", "normalization", "operations",
    "operations_arranging", "operations_products", "recurrent", "reshaping",
)  # fmt: skip


def load() -> None:
    """Imports the files that fill the tables."""
    for family in FAMILIES:
        importlib.import_module(f"{__name__}.{family}")
