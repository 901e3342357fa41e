"""Reads `.keras` files: a zip of the settings (`config.json`), the weights (`model.weights.h5`) and assets."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door import archive, hdf5, rules
from tfday7.models.door.building import fitting, keras3_model, tf_keras_model
from tfday7.models.door.judge import parsed
from tfday7.models.door.weights import refresh


def read(path: Path, allow_unsafe: bool) -> Any:
    """Returns the live model of a `.keras` file, of the Keras that wrote it.

    Raises:
        UserError: the file is damaged or dangerous, or has layers that are not known.
    """
    with archive.opened(path) as file:
        config = parsed(file.text("config.json"), str(path))
        metadata = parsed(file.text("metadata.json"), str(path))
        if not isinstance(metadata, dict):
            raise UserError(f"{path}: metadata.json does not say which Keras wrote it", "save the model again")
        is_keras3 = str(metadata.get("keras_version", "")).startswith("3")
        stored_bytes = file.size_bytes(archive.WEIGHTS)
        model = (keras3_model if is_keras3 else tf_keras_model)(config, path, allow_unsafe, stored_bytes)
        with fitting(path):
            size_bytes = archive.size_bytes(model)
        with file.unpacked(size_bytes) as folder:
            with hdf5.opened(folder / archive.WEIGHTS, path):
                pass  # Looked through; the loader opens it itself.
            _load_state(model, file, folder, is_keras3)
    return model


def _load_state(model: Any, file: archive.Archive, folder: Path, is_keras3: bool) -> None:
    """Reads weights and assets. The public `load_weights` leaves the assets (vocabularies) out."""
    library = importlib.import_module(("keras" if is_keras3 else "tf_keras") + ".src.saving.saving_lib")
    weights = library.H5IOStore(str(folder / archive.WEIGHTS), mode="r")
    own = {*rules.REGISTERED, *rules.RETURNING}
    whole = any(type(layer) in own for layer in model._flatten_layers())
    assets = _assets(library, file, folder, whole) if file.has_assets() else None
    try:
        with fitting(file.path):
            if is_keras3:
                library._load_state(model, weights, assets, inner_path="", visited_saveables=set())
            else:
                library._load_state(model, weights, assets, inner_path="", visited_trackables=set())
                refresh(model)
    finally:
        weights.close()


def _assets(library: Any, file: archive.Archive, folder: Path, whole: bool) -> Any:
    """Returns what the loader asks for the folder of a layer's assets: it is made when a layer needs it."""

    class Assets(library.DiskIOStore):
        def get(self, path: str) -> str | None:
            return file.assets_folder(path, folder, whole)

        def has_path(self, path: str) -> bool:
            return file.has_assets(path)

    return Assets(str(folder), mode="r")
