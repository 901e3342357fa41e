"""Reads whole models from `.h5` files of Keras 2.2 to Keras 3: settings in an attribute, weights in a group."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door import hdf5
from tfday7.models.door.building import fitting, keras3_model, tf_keras_model
from tfday7.models.door.judge import parsed


def read(path: Path, allow_unsafe: bool) -> Any:
    """Returns the live model of an `.h5` file, of the Keras that wrote it.

    Raises:
        UserError: the file is damaged or dangerous, holds weights only, or has layers that are not known.
    """
    with hdf5.opened(path, path) as file:
        with hdf5.reading(path):
            text, version = file.attrs.get("model_config"), _text(file.attrs.get("keras_version", ""))
            complete = text is not None and "model_weights" in file
        if not complete:
            raise UserError(
                f"{path}: no model inside; expected its settings (model_config) and weights",
                "it may hold weights only: save the whole model with model.save, preferably as .keras",
            )
        is_keras3 = version.startswith("3")
        config = parsed(_text(text), str(path))
        build = keras3_model if is_keras3 else tf_keras_model
        model = build(config, path, allow_unsafe, path.stat().st_size)
        package = "keras.src.legacy.saving.legacy_h5_format" if is_keras3 else "tf_keras.src.saving.legacy.hdf5_format"
        with fitting(path):
            importlib.import_module(package).load_weights_from_hdf5_group(file["model_weights"], model)
    return model


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
