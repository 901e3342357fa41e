"""tf_keras's hard sigmoid, clip(0.2 x + 0.5, 0, 1), for Keras 3, whose own is relu6(x + 3) / 6: less steep.

As an activation it becomes operations behind the layer. Inside a recurrent layer there is no room for those, but the
gates are linear before it, and relu6(1.2 x + 3) / 6 is clip(0.2 x + 0.5, 0, 1): so the gates' weights are scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras3
from tfday7.models.door.graph import Call
from tfday7.models.door.rules import outgoing, outgoing_call

# Which quarters or thirds of a recurrent layer's units pass the recurrent activation: LSTM i, f, (c), o; GRU z, r, (h).
_GATES = {"LSTM": (1, 1, 0, 1), "GRU": (1, 1, 0)}
_STEEPER = 1.2


@outgoing_call("activation hard_sigmoid")
def _activation(call: Call, tensors: dict[int, Any], rebuild: Any) -> Any:
    layer, ops = call.layer, keras3.ops
    if not str(layer.activation.__module__).startswith("tf_keras.") or hasattr(layer, "recurrent_activation"):
        return rebuild.called(call, tensors)
    if id(layer) not in rebuild.made:
        linear = rebuild.same(layer, replace={"activation": keras3.activations.linear})
        rebuild.made[id(layer)] = (layer, linear)
    return ops.clip(rebuild.called(call, tensors) * 0.2 + 0.5, 0.0, 1.0)


@outgoing("LSTM", "GRU", "LSTMCell", "GRUCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def _recurrent(layer: Any, rebuild: Any) -> Any:
    function = layer.recurrent_activation
    if function.__name__ != "hard_sigmoid" or not function.__module__.startswith("tf_keras."):
        return rebuild.same(layer)
    rebuild.changes[id(layer)] = _scaled(_GATES["GRU" if "GRU" in type(layer).__name__ else "LSTM"])
    return rebuild.same(layer, replace={"recurrent_activation": keras3.activations.hard_sigmoid})


def _scaled(gates: tuple[int, ...]) -> Callable[[str, Any], Any]:
    def change(name: str, value: Any) -> Any:  # noqa: ARG001 - kernel, recurrent kernel and bias alike
        factors = np.repeat([_STEEPER if gate else 1.0 for gate in gates], value.shape[-1] // len(gates))
        return (value * factors).astype(value.dtype)

    return change
