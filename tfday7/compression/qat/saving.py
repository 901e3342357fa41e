"""Files of models with fake quantization: tf_keras's own format, whose every name is judged before anything is made.

No other Keras has such layers, so this is not the `.keras` file that models are delivered in. It is read as files from
strangers are (`models.door.judge`): names are looked up in a table of known classes, and nothing that a file says
chooses code to run.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from tfday7.compression.qat import is_quantized, layers
from tfday7.core.errors import UserError
from tfday7.core.files import replacing
from tfday7.core.frameworks import keras
from tfday7.models.door import activations, archive, hdf5
from tfday7.models.door.budget import within_file
from tfday7.models.door.building import fitting, tf_keras_object
from tfday7.models.door.judge import parsed, vetted
from tfday7.models.door.known import tf_keras_known

CLASSES = (layers.FakeQuantize, layers.QuantizedWeights, layers.QuantizedScale, layers.QuantizedLayerNormalization)
_WEIGHTS = "model.weights.h5"


def save(model: Any, path: Path) -> None:
    """See `tfday7.compression.qat.save`."""
    if not is_quantized(model):
        raise UserError(f"model {model.name!r} has no fake quantization", "save it with tfday7.models.save")
    with tempfile.TemporaryDirectory(prefix="tfday7-") as folder, replacing(path) as partial:
        named = Path(folder) / "model.keras"  # tf_keras goes by the name.
        model.save(named, save_format="keras")
        partial.write_bytes(named.read_bytes())


def load(path: Path, allow_unsafe: bool = False) -> Any:
    """See `tfday7.compression.qat.load`."""
    if not path.is_file():
        raise UserError(f"{path}: no such file", "give a file that tfday7.compress or qat.save wrote")
    with archive.opened(path) as file:
        config = parsed(file.text("config.json"), str(path))
        if _WEIGHTS not in file.names():
            raise UserError(f"{path}: no {_WEIGHTS} inside", "compress the model again")
        model = _made(config, path, file.size_bytes(_WEIGHTS), allow_unsafe)
        with fitting(path):
            size_bytes = archive.size_bytes(model)
        with file.unpacked(size_bytes) as folder:
            with hdf5.opened(folder / _WEIGHTS, path):
                pass  # Looked through; the loader opens it itself.
            with fitting(path):
                model.load_weights(str(folder / _WEIGHTS))
    if not is_quantized(model):
        raise UserError(f"{path}: a model without fake quantization", "open it with tfday7.models.load")
    return model


def _made(config: Any, path: Path, stored_bytes: int, allow_unsafe: bool) -> Any:
    known = tf_keras_known(names_ours=activations.PACKAGE + ">" in json.dumps(config))
    own = {keras.saving.get_registered_name(kind): kind for kind in CLASSES}
    known = dataclasses.replace(known, custom={**known.custom, **own})
    judged = vetted({**config, "compile_config": None}, known, str(path), allow_unsafe)
    with fitting(path), within_file(stored_bytes, path):
        model = tf_keras_object(judged, known, allow_unsafe)
    if not isinstance(model, keras.Model):
        raise UserError(f"{path}: describes a {type(model).__name__}; expected a model", "compress the model again")
    return model
