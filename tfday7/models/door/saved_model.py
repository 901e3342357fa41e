"""Reads the Keras model inside a SavedModel folder: its settings from the metadata, its weights from the checkpoint.

The graph of the SavedModel is never loaded; it may hold anything. tf_keras writes the settings of the model to
`keras_metadata.pb`, TensorFlow before 2.5 into the SavedModel's own list of objects.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.models.door.building import fitting, tf_keras_model
from tfday7.models.door.judge import parsed
from tfday7.models.door.weights import refresh

_MODELS = ("_tf_keras_model", "_tf_keras_network", "_tf_keras_sequential")
_LARGEST_BYTES = 2_000_000_000


def read(path: Path, allow_unsafe: bool) -> Any:
    """Returns the live tf_keras model of a SavedModel folder.

    Raises:
        UserError: there is no Keras model inside, its settings are refused, or the weights do not fit.
    """
    metadata = _root_metadata(path)
    if not metadata or not metadata.get("config") or "class_name" not in metadata:
        raise UserError(
            f"{path}: a SavedModel without a Keras model's settings (model.export and subclassed models write none)",
            "save the model with model.save('model.keras') and give that file",
        )
    config = {"class_name": metadata["class_name"], "config": metadata["config"]}
    for file in sorted((path / "variables").glob("*")):
        files.check_plain(file)
    model = tf_keras_model(config, path, allow_unsafe, files.folder_size_bytes(path / "variables"))
    with fitting(path):
        status = tf.train.Checkpoint(root=model).read(str(path / "variables" / "variables"))
        try:
            status.assert_existing_objects_matched()
        except AssertionError as error:
            raise ValueError(f"the checkpoint lacks weights: {str(error)[:200]}") from error
        refresh(model)
    return model


def _root_metadata(path: Path) -> dict[str, Any]:
    if (path / "keras_metadata.pb").exists():
        saved = importlib.import_module("tf_keras.protobuf.saved_metadata_pb2").SavedMetadata()
        _parse(saved, path / "keras_metadata.pb")
        nodes = [(node.node_id, node.identifier, node.metadata) for node in saved.nodes]
    else:
        saved = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
        _parse(saved, path / "saved_model.pb")
        objects = saved.meta_graphs[0].object_graph_def.nodes if saved.meta_graphs else []
        nodes = [(i, node.user_object.identifier, node.user_object.metadata) for i, node in enumerate(objects)]
    for node_id, identifier, text in nodes:
        if node_id == 0 and identifier in _MODELS and text:
            found = parsed(text, str(path))
            if not isinstance(found, dict):
                raise UserError(f"{path}: its metadata is no record", "save the model again")
            return found
    return {}


def _parse(message: Any, path: Path) -> None:
    try:
        files.check_plain(path, _LARGEST_BYTES)
        message.ParseFromString(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise UserError(f"{path}: damaged ({error})", "save the model again") from error
