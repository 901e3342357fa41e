"""A copy of a float32 model that computes in a mixed precision, for fine-tuning. Its variables stay float32."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.models.door import convert  # noqa: F401 - It fills the tables of rules.
from tfday7.models.door.graph import TF_KERAS
from tfday7.models.door.rebuild import Rebuild


class _Mixed(Rebuild):
    """A rebuild under a policy that spares the layers that give a model's outputs: the loss needs them in float32."""

    def __init__(self, policy: str, spared: frozenset[str]) -> None:
        super().__init__(TF_KERAS, TF_KERAS, policy)
        self.spared = spared

    def again(self, layer: Any) -> Any:
        """Returns a new layer of the very same class, under the policy or float32."""
        policy = self.dtype_policy
        try:
            self.dtype_policy = "float32" if layer.name in self.spared else policy
            return super().again(layer)
        finally:
            self.dtype_policy = policy


def with_precision(model: Any, policy: str) -> Any:
    """Returns a new model with the same layers and weights, in the same order, and float32 outputs.

    Args:
        model: a tf_keras functional model.
        policy: "mixed_float16" or "mixed_bfloat16".
    """
    new = _Mixed(policy, frozenset(model.output_names)).model(model)
    if new.outputs[0].dtype == "float32":
        return new
    # A nested model gives the outputs: all of its layers have the policy.
    cast = keras.layers.Activation("linear", dtype="float32", name="tfday7_float32")
    return keras.Model(new.inputs, cast(new.outputs[0]), name=new.name)
