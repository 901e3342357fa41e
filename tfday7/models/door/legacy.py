"""Brings the settings of old Keras versions (2.2 on) into today's words, before they are judged."""

from __future__ import annotations

from typing import Any

# Class names that were given up -> today's, and the settings that make it do the same.
_RENAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "CuDNNLSTM": ("LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid"}),
    "CuDNNGRU": ("GRU", {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}),
    "Convolution2D": ("Conv2D", {}),
    "PolicyV1": ("Policy", {}),
}


def modern(config: Any) -> Any:
    """Returns the settings of a Keras 2 model as tf_keras writes them today."""
    if isinstance(config, list):
        return [modern(item) for item in config]
    if not isinstance(config, dict):
        return config
    record = {key: modern(value) for key, value in config.items()}
    name, settings = record.get("class_name"), record.get("config")
    if name in ("__tuple__", "TensorShape") and "items" in record:  # A SavedModel's JSON keeps such types.
        return record["items"]
    if isinstance(name, str) and name in _RENAMED:
        record["class_name"], changes = _RENAMED[name]
        if isinstance(settings, dict):
            record["config"] = {**settings, **changes}
    if name == "Sequential" and isinstance(settings, list):  # Until Keras 2.2.3 it was the bare list of layers.
        record["config"] = {"name": "sequential", "layers": settings}
    return record
