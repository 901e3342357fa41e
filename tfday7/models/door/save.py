"""Writes the file that plain `keras.models.load_model` opens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.files import replacing
from tfday7.models.door.graph import KERAS3, TF_KERAS, is_keras3, is_tf_keras


def to_keras3(model: Any) -> Any:
    """Returns a Keras 3 model with a tf_keras model's layers, names and weights.

    A Keras 3 model is returned as it is. Raises UserError naming a layer that Keras 3 has no equal of.
    """
    if is_keras3(model):
        return model
    if not is_tf_keras(model):
        raise UserError(f"{type(model).__name__} object: expected a tf_keras or Keras 3 model")
    from tfday7.models.door.convert import convert

    return convert(model, TF_KERAS, KERAS3)


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes a model of either Keras as a Keras 3 `.keras` file, whole or not at all.

    Raises:
        UserError: the name does not end in `.keras`, the folder cannot be written, or a layer cannot be carried over.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise UserError(f"{path}: a Keras 3 file's name ends in .keras")
    model = to_keras3(model)
    with replacing(path) as partial:
        model.save(partial)
