"""Reads any Keras model, whatever wrote it, as a tf_keras functional model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.models.door.graph import KERAS3, TF_KERAS, is_keras3, is_tf_keras


def load(path_or_model: Any, *, allow_unsafe: bool = False, dtype_policy: str | None = None) -> Any:
    """Returns a new tf_keras functional model with the given model's layers, names, weights and flags.

    Args:
        path_or_model: a `.keras` file of either Keras, an `.h5` file, a SavedModel folder with a Keras model inside, or
            a model object of either Keras.
        allow_unsafe: run code that the file brings (Lambda layers); only for files that you trust.
        dtype_policy: "float32", "mixed_float16", ...: every layer gets it instead of its own policy.

    Raises:
        UserError: there is no such file, it is broken, would run code, or has a layer that cannot be carried over.
    """
    model = read(path_or_model, allow_unsafe)
    from tfday7.models.door.convert import convert

    if is_keras3(model):
        return convert(model, KERAS3, TF_KERAS, dtype_policy)
    if is_tf_keras(model):
        return convert(model, TF_KERAS, TF_KERAS, dtype_policy)
    raise UserError(f"{type(model).__name__} object: expected a path or a Keras model")


def read(path_or_model: Any, allow_unsafe: bool = False) -> Any:
    """Returns the live model of a file as the Keras that wrote it has it; a model object as it is.

    The first bytes of a file tell its kind, whatever its name. Raises UserError as `load` does.
    """
    if not isinstance(path_or_model, (str, os.PathLike)):
        return path_or_model
    path = Path(path_or_model)
    if not path.exists():
        raise UserError(f"{path}: no such file", "give a .keras, .h5 or SavedModel path")
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise UserError(f"{path}: a folder without a saved_model.pb", "give a .keras, .h5 or SavedModel path")
        from tfday7.models.door import saved_model

        return saved_model.read(path, allow_unsafe)
    files.check_plain(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        from tfday7.models.door import keras_archive

        return keras_archive.read(path, allow_unsafe)
    if start == b"\x89HDF\r\n\x1a\n":
        from tfday7.models.door import h5_model

        return h5_model.read(path, allow_unsafe)
    if start[4:8] == b"TFL3":
        raise UserError(
            f"{path}: a TFLite model, which has no layers to train or compress any more",
            "give the .keras, .h5 or SavedModel that it was converted from",
        )
    raise UserError(f"{path}: not a Keras model", "expected a .keras file, an .h5 file or a SavedModel folder")
