"""What was kept goes out as itself."""

from __future__ import annotations

import json
from typing import Any

from tfday7.models.door import keras3_classes
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rules import outgoing, outgoing_call
from tfday7.models.door.template import filled


@outgoing_call("KerasOperation")
def _operation(call: Call, tensors: dict[int, Any], rebuild: Any) -> Any:  # noqa: ARG001 - a rule's signature
    layer = call.layer
    kind, settings = keras3_classes.operations()[layer.operation], json.loads(layer.settings)
    operation = kind(**settings)
    args, kwargs = filled(json.loads(layer.arguments), [tensors[id(one)] for one in TF_KERAS.flatten(call.args)])
    return operation(*args, **kwargs)


@outgoing("Keras3Layer")
def _layer(layer: Any, rebuild: Any) -> Any:
    settings = {**json.loads(layer.settings), "name": rebuild.new_name(layer.name), "trainable": layer.trainable}
    return keras3_classes.layer(layer.layer_class, settings)
