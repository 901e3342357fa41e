"""TFMOT's wrappers on the way out: pruning's is only a mask and goes, the others change the model and are refused."""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.rules import outgoing

_QUANTIZED = (
    "QuantizeLayer", "QuantizeWrapper", "QuantizeWrapperV2", "QuantizeAnnotate",
    "FakeQuantize", "QuantizedWeights", "QuantizedScale", "QuantizedLayerNormalization",  # Of `tfday7.compression.qat`.
)  # fmt: skip


@outgoing("PruneLowMagnitude")
def _pruned(layer: Any, rebuild: Any) -> Any:
    rebuild.sources[id(layer)] = layer.layer  # The masks were applied to its weights; the wrapper's own are not theirs.
    return rebuild.inner(layer.layer)


@outgoing("ClusterWeights", "ClusterWeightsMHA")
def _clustered(layer: Any, rebuild: Any) -> Any:  # noqa: ARG001 - a rule's signature
    raise UserError(
        f"layer {layer.name!r} is still wrapped for clustering ({type(layer).__name__})",
        "call tfmot.clustering.keras.strip_clustering(model) first, or save what tfday7.compress wrote",
    )


@outgoing(*_QUANTIZED)
def _quantized(layer: Any, rebuild: Any) -> Any:  # noqa: ARG001 - a rule's signature
    raise UserError(
        f"layer {layer.name!r} is wrapped for quantization-aware training ({type(layer).__name__}); Keras 3 has "
        "none such",
        "export the model to TFLite, which is what it was trained for, or save the model it was made from",
    )
