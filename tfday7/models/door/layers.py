"""Layers whose settings differ between the Kerases in a name or two. Equal ones need no line: they map by name."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras3
from tfday7.models.door.graph import Call
from tfday7.models.door.lookups import boundaries
from tfday7.models.door.rules import incoming, outgoing, outgoing_call
from tfday7.models.door.settings import policy_name


@incoming("LeakyReLU")
def _leaky_relu_in(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(layer, rename={"negative_slope": "alpha"})


@outgoing("LeakyReLU")
def _leaky_relu_out(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(layer, drop=("alpha",), replace={"negative_slope": float(layer.alpha)})


@incoming("ActivityRegularization")
@outgoing("ActivityRegularization")
def _activity_regularization(layer: Any, rebuild: Any) -> Any:
    return rebuild.same(layer, drop=("activity_regularizer",))  # It makes its own, from l1 and l2.


@incoming("Discretization")
@outgoing("Discretization")
def _discretization(layer: Any, rebuild: Any) -> Any:
    # The dtype is of its inputs in Keras 3, of its outputs in tf_keras. Learned boundaries replace their number.
    return rebuild.same(layer, drop=("dtype", "num_bins"), replace={"bin_boundaries": boundaries(layer)})


@outgoing("BatchNormalization")
def _batch_normalization_out(layer: Any, rebuild: Any) -> Any:
    axis = list(layer.axis) if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if len(axis) != 1:
        raise rebuild.unsupported(layer)
    return rebuild.same(layer, replace={"axis": int(axis[0])})


@incoming("BatchNormalization")
def _batch_normalization_in(layer: Any, rebuild: Any) -> Any:
    # Keras 3 does not use the fused kernel, whose last bits differ and whose moving variance is the unbiased one.
    return rebuild.same(layer, replace={"fused": False} if not layer.renorm else {})


@incoming("LayerNormalization")
def _layer_normalization_in(layer: Any, rebuild: Any) -> Any:
    new = rebuild.same(layer)
    new._fused_can_be_used = lambda rank: False
    return new


@outgoing("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
def _separable_convolution_out(layer: Any, rebuild: Any) -> Any:
    # tf_keras lists the settings of a kernel that these layers do not have.
    drop = ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "groups")
    return rebuild.same(layer, drop=(*drop, "filters") if type(layer).__name__.startswith("Depthwise") else drop)


@incoming("Lambda")
@outgoing("Lambda")
def _lambda(layer: Any, rebuild: Any) -> Any:
    # Only a model that lives in this process has one, or a file that the user trusts: `judge` refuses all others.
    common = {
        "name": rebuild.new_name(layer.name),
        "dtype": policy_name(layer),
        "arguments": dict(layer.arguments or {}),
    }
    return rebuild.framework.layers.Lambda(layer.function, **common)


@outgoing_call("ThresholdedReLU")
def _thresholded_relu(call: Call, tensors: dict[int, Any], rebuild: Any) -> Any:  # noqa: ARG001 - a rule's signature
    x, ops = tensors[id(call.args[0])], keras3.ops
    return ops.multiply(x, ops.cast(ops.greater(x, float(call.layer.theta)), x.dtype))
