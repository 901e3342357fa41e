"""Layers that keras.applications define for themselves, in both Kerases under the same names."""

from __future__ import annotations

import importlib
from typing import Any

from tfday7.models.door.rules import outgoing

# Class -> its module below either Keras's applications, and its settings.
LAYERS = {
    "LayerScale": ("convnext", ("init_values", "projection_dim")),
    "StochasticDepth": ("convnext", ("drop_path_rate",)),
    "CustomScaleLayer": ("inception_resnet_v2", ("scale",)),
}


def classes(package: str) -> dict[str, type]:
    """Returns name -> class of all of them, from "keras" or "tf_keras"; under their registered names, too."""
    found = {name: application_class(package, name) for name in LAYERS}
    return found | {"Custom>CustomScaleLayer": found["CustomScaleLayer"]}


def application_class(package: str, name: str) -> type:
    """Returns the class from "keras" or "tf_keras"."""
    kind: type = getattr(importlib.import_module(f"{package}.src.applications.{LAYERS[name][0]}"), name)
    return kind


@outgoing(*LAYERS)
def _layer(layer: Any, rebuild: Any) -> Any:
    name = type(layer).__name__
    settings = {key: getattr(layer, key) for key in LAYERS[name][1]}
    settings |= {"name": rebuild.new_name(layer.name), "dtype": layer.dtype_policy.name}
    kind: Any = application_class("keras", name)
    return kind(**settings)
