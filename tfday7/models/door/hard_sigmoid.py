"""tf_keras's hard sigmoid, clip(0.2 x + 0.5, 0, 1), for Keras 3, whose own is relu6(x + 3) / 6: less steep.

As an activation it becomes two layers behind the layer: operations would end a mask. Inside a recurrent layer there is
no room for those, but the gates are linear before it, and relu6(1.2 x + 3) / 6 is clip(0.2 x + 0.5, 0, 1): so the
gates' weights are scaled, in whatever holds the layer or its cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, keras3
from tfday7.models.door.graph import Call
from tfday7.models.door.rules import outgoing, outgoing_call, outgoing_weights
from tfday7.models.door.settings import policy_name

# Which quarters or thirds of a recurrent layer's units pass the recurrent activation: LSTM i, f, (c), o; GRU z, r, (h).
_GATES = {"LSTM": (1, 1, 0, 1), "GRU": (1, 1, 0)}
_STEEPER = 1.2


@outgoing_call("activation hard_sigmoid")
def _activation(call: Call, tensors: dict[int, Any], rebuild: Any) -> Any:
    layer = call.layer
    if not _is_old(layer.activation) or isinstance(layer, keras.layers.RNN):  # There it is not the last step.
        return rebuild.called(call, tensors)
    if id(layer) not in rebuild.made:
        linear = rebuild.same(layer, replace={"activation": keras3.activations.linear})
        rebuild.made[id(layer)] = (layer, linear)
    line = {"name": rebuild.free_name(f"{layer.name}.line"), "dtype": policy_name(layer)}
    clip = {"name": rebuild.free_name(f"{layer.name}.clip"), "dtype": policy_name(layer)}
    straight = keras3.layers.Rescaling(0.2, 0.5, **line)(rebuild.called(call, tensors))
    return keras3.layers.ReLU(max_value=1.0, **clip)(straight)


@outgoing("LSTM", "GRU", "LSTMCell", "GRUCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def _recurrent(layer: Any, rebuild: Any) -> Any:
    if not _is_old(layer.recurrent_activation):
        return rebuild.same(layer)
    return rebuild.same(layer, replace={"recurrent_activation": keras3.activations.hard_sigmoid})


@outgoing_weights("LSTMCell", "GRUCell", "ConvLSTMCell")  # Every recurrent layer holds a cell, which has its weights.
def _scaled(cell: Any) -> Callable[[Any], Any] | None:
    if not _is_old(cell.recurrent_activation):
        return None
    gates = _GATES["GRU" if "GRU" in type(cell).__name__ else "LSTM"]

    def change(value: Any) -> Any:  # Kernel, recurrent kernel and bias alike.
        factors = np.repeat([_STEEPER if gate else 1.0 for gate in gates], value.shape[-1] // len(gates))
        return (value * factors).astype(value.dtype)

    return change


def _is_old(function: Any) -> bool:
    name, module = getattr(function, "__name__", ""), str(getattr(function, "__module__", ""))
    return name == "hard_sigmoid" and module.startswith("tf_keras.")
