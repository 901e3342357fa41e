"""Reads `.keras` files: a zip of the settings (`config.json`), the weights (`model.weights.h5`) and assets."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door import archive, hdf5
from tfday7.models.door.building import fitting, keras3_model, tf_keras_model
from tfday7.models.door.judge import parsed

_WEIGHTS = "model.weights.h5"


def read(path: Path, allow_unsafe: bool) -> Any:
    """Returns the live model of a `.keras` file, of the Keras that wrote it.

    Raises:
        UserError: the file is damaged or dangerous, or has layers that are not known.
    """
    with archive.opened(path) as file:
        config = parsed(file.text("config.json"), str(path))
        metadata = parsed(file.text("metadata.json"), str(path))
        is_keras3 = str(metadata.get("keras_version", "")).startswith("3")
        if _WEIGHTS not in file.names():
            raise UserError(f"{path}: no {_WEIGHTS} inside", "save the model again with model.save")
        model = (keras3_model if is_keras3 else tf_keras_model)(config, path, allow_unsafe, file.size_bytes(_WEIGHTS))
        with file.unpacked() as folder:
            with hdf5.opened(folder / _WEIGHTS, path):
                pass  # Looked through; the loader opens it itself.
            _load_state(model, folder, is_keras3, path)
    return model


def _load_state(model: Any, folder: Path, is_keras3: bool, path: Path) -> None:
    """Reads weights and assets. The public `load_weights` leaves the assets (vocabularies) out."""
    library = importlib.import_module(("keras" if is_keras3 else "tf_keras") + ".src.saving.saving_lib")
    weights = library.H5IOStore(str(folder / _WEIGHTS), mode="r")
    assets = library.DiskIOStore(str(folder / "assets"), mode="r") if (folder / "assets").exists() else None
    try:
        with fitting(path):
            if is_keras3:
                library._load_state(model, weights, assets, inner_path="", visited_saveables=set())
            else:
                library._load_state(model, weights, assets, inner_path="", visited_trackables=set())
    finally:
        weights.close()
