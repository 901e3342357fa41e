"""A model as one flat graph of layers that round once: nested models opened, compound layers taken apart.

What TFLite computes in several operators has to be several layers, or nothing can be rounded between them:

    a model inside           its layers, shared where it is called more than once
    SeparableConv1D, 2D      a depthwise convolution and one of 1x1
    TimeDistributed(Dense)   the Dense layer, which takes any rank
    activation="tanh"        a layer of its own; relu and relu6 stay, TFLite computes them with the layer
    swish                    a sigmoid and a product
    Rescaling                a scale and an offset, but at the end, where an int8 file leaves it out
    Dense, BatchNormalization  one Dense layer: a file has one scale for a Dense layer's weights, on whose grid they
                               would not lie after the converter folds the normalization into them
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras
from tfday7.models.door import tied
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rebuild import Rebuild

FUSED = ("linear", "relu", "relu6")  # What TFLite computes with the layer before.
SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
SWISH = ("swish", "silu")
_WITH_ACTIVATION = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "DepthwiseConv1D", "DepthwiseConv2D",
    "SeparableConv1D", "SeparableConv2D",
)  # fmt: skip


def flattened(model: Any, unfolded: Collection[str] = ()) -> tuple[Any, dict[str, str]]:
    """Returns a new model that computes the same, flat, and where its weights come from; see the module.

    Args:
        model: a tf_keras functional model.
        unfolded: names of Dense layers that keep their BatchNormalization.

    Returns:
        (the model, the path of each weight of the given model that has another one now: "nested/conv/kernel" to
        "conv/kernel").
    """
    flattening = _Flattening(model, unfolded)
    flat = flattening.model(model)
    return flat, dict(flattening.paths(model))


def depthwise_name(layer: str) -> str:
    """Returns the name of the depthwise part of a separable convolution; the other part has the layer's own."""
    return f"{layer}_depthwise"


class _Flattening(Rebuild):
    def __init__(self, model: Any, unfolded: Collection[str]) -> None:
        super().__init__(TF_KERAS, TF_KERAS)
        self._unfolded = unfolded
        self._taken: set[str] = set()
        self._named_as: dict[int, str] = {}  # id of a layer -> the name that its new one has instead of its own
        self._later: list[tuple[Any, list[np.ndarray]]] = []
        self._parts: dict[int, list[Any]] = {}
        self._consumers: dict[int, list[Call]] = {}
        self._calls_of: dict[int, int] = {}
        self._gone: dict[int, Any] = {}  # id of a BatchNormalization that a Dense layer has taken in
        self._count(model)

    def model(self, model: Any) -> Any:
        """See `Rebuild.model`."""
        new = super().model(model)
        for layer, weights in self._later:
            layer.set_weights(weights)
        return new

    def paths(self, model: Any, before: str = "") -> Iterator[tuple[str, str]]:
        """Yields (path in the given model, path in the new one) of the weights whose paths differ."""
        for layer in model.layers:
            place = f"{before}{layer.name}"
            if _opens(layer):
                yield from self.paths(layer, f"{place}/")
                continue
            computes = _timed(layer) or layer
            made = self.made.get(id(computes), (None, None))[1]
            parts = self._parts.get(id(computes), [made])
            if type(layer).__name__ in SEPARABLE and len(parts) > 1:
                yield f"{place}/depthwise_kernel", f"{parts[0].name}/depthwise_kernel"
                yield f"{place}/pointwise_kernel", f"{parts[1].name}/kernel"
            elif parts[0] is not None and parts[0].name != place:
                for name in {variable.name.split(":")[0].split("/")[-1] for variable in layer.weights}:
                    yield f"{place}/{name}", f"{parts[0].name}/{name}"

    def again(self, layer: Any) -> Any:
        """Returns a new layer of the same class, under a name that no other has."""
        new = super().again(layer)
        new._name = self._named_as.get(id(layer), new.name)
        return self._named(new)

    def variable(self, variable: Any, call: Call) -> Any:
        """Raises UserError for a layer's weight: the layer rounds it, and may be taken apart."""
        if id(variable) in self._owned:
            raise tied.untakable(call, variable, "quantization-aware training")
        return variable

    def _count(self, model: Any) -> None:
        _, outputs = TF_KERAS.structure(model)
        for tensor in TF_KERAS.flatten(outputs):
            self._consumers.setdefault(id(tensor), []).append(Call(None, (), {}, []))
        for call in TF_KERAS.calls(model):
            self._calls_of[id(call.layer)] = self._calls_of.get(id(call.layer), 0) + 1
            for leaf in TF_KERAS.flatten([list(call.args), call.kwargs]):
                if TF_KERAS.is_symbolic(leaf):
                    self._consumers.setdefault(id(leaf), []).append(call)
            if _opens(call.layer):
                self._count(call.layer)

    def _outputs(self, call: Call, tensors: dict[int, Any]) -> Any:
        layer = call.layer
        if _opens(layer):
            return self._opened(call, tensors)
        x = self._swap(call.args, tensors)[0] if call.args else None
        if id(layer) in self._gone:
            return x
        kind, timed = type(layer).__name__, _timed(layer)
        if timed is not None:
            self._named_as[id(timed)] = layer.name
            return self._with_activation(timed, x)
        if kind in SEPARABLE and layer.padding != "causal":
            return self._separated(layer, x)
        if kind in _WITH_ACTIVATION:
            return self._with_activation(layer, x, self._folded(layer, call))
        if kind == "Activation" and activation_name(layer.activation) in SWISH:
            return self._swish(layer, x)
        ends = any(each.layer is None for each in self._consumers.get(id(call.outputs[0]), []))
        if kind == "Rescaling" and not ends and _numbers(layer.scale) != 1.0 and _numbers(layer.offset) != 0.0:
            return self._rescaled(layer, x)
        return self.called(call, tensors)

    def _opened(self, call: Call, tensors: dict[int, Any]) -> Any:
        inputs, outputs = TF_KERAS.structure(call.layer)
        given = TF_KERAS.flatten(self._swap(call.args[0], tensors))
        inner = {id(tensor): new for tensor, new in zip(TF_KERAS.flatten(inputs), given, strict=True)}
        for each in TF_KERAS.calls(call.layer):
            self._repeat(each, inner)
        return self._swap(outputs, inner)

    def _folded(self, layer: Any, call: Call) -> Any:
        """Returns the BatchNormalization that a Dense layer takes in, or None."""
        if not isinstance(layer, keras.layers.Dense) or layer.name in self._unfolded:
            return None
        consumers = self._consumers.get(id(call.outputs[0]), [])
        if len(consumers) != 1 or activation_name(layer.activation) != "linear" or self._calls_of[id(layer)] != 1:
            return None
        follower = consumers[0].layer
        if type(follower).__name__ != "BatchNormalization" or self._calls_of[id(follower)] != 1:
            return None
        if not normalizes_last_axis(follower):
            return None
        self._gone[id(follower)] = follower
        return follower

    def _with_activation(self, layer: Any, x: Any, normalization: Any = None) -> Any:
        """Returns the outputs of a layer whose activation is a layer of its own unless TFLite has both in one."""
        name = activation_name(layer.activation)
        if name in FUSED and normalization is None:
            return self.layer(layer)(x)
        parts = self._parts.get(id(layer))
        if parts is None:
            new = self.again(layer)
            new.activation = keras.activations.linear
            if normalization is not None:
                new.use_bias = True
                self._later.append((new, _fold(layer, normalization)))
            else:
                self.made[id(layer)] = (layer, new)
            parts = [new]
            if name != "linear":
                parts.append(self._activation(layer.activation, f"{layer.name}_activation"))
            self._parts[id(layer)] = parts
        x = parts[0](x)
        for part in parts[1:]:
            x = self._activated(part, x)
        return x

    def _activation(self, function: Any, name: str) -> Any:
        return self._named(keras.layers.Activation(function, name=name))

    def _activated(self, activation: Any, x: Any) -> Any:
        return self._swish(activation, x) if activation_name(activation.activation) in SWISH else activation(x)

    def _swish(self, layer: Any, x: Any) -> Any:
        sigmoid = self._named(keras.layers.Activation("sigmoid", name=f"{layer.name}_sigmoid"))
        return self._named(keras.layers.Multiply(name=layer.name))([x, sigmoid(x)])

    def _rescaled(self, layer: Any, x: Any) -> Any:
        scaled = self._named(keras.layers.Rescaling(layer.scale, name=f"{layer.name}_scale"))
        return self._named(keras.layers.Rescaling(1.0, layer.offset, name=layer.name))(scaled(x))

    def _separated(self, layer: Any, x: Any) -> Any:
        parts = self._parts.get(id(layer))
        if parts is None:
            parts = self._parts[id(layer)] = self._separate(layer)
        x = parts[1](parts[0](x))
        for part in parts[2:]:
            x = self._activated(part, x)
        return x

    def _separate(self, layer: Any) -> list[Any]:
        flat = type(layer).__name__ == "SeparableConv1D"
        kinds = (keras.layers.DepthwiseConv1D, keras.layers.Conv1D) if flat else (
            keras.layers.DepthwiseConv2D, keras.layers.Conv2D,
        )  # fmt: skip
        name = activation_name(layer.activation)
        depthwise = kinds[0](
            layer.kernel_size[0] if flat else layer.kernel_size,
            strides=layer.strides[0] if flat else layer.strides,
            padding=layer.padding,
            depth_multiplier=layer.depth_multiplier,
            dilation_rate=layer.dilation_rate[0] if flat else layer.dilation_rate,
            use_bias=False,
            depthwise_regularizer=layer.depthwise_regularizer,
            name=depthwise_name(layer.name),
        )
        pointwise = kinds[1](
            layer.filters,
            1,
            use_bias=layer.use_bias,
            activation=layer.activation if name in FUSED else None,
            kernel_regularizer=layer.pointwise_regularizer,
            bias_regularizer=layer.bias_regularizer,
            name=layer.name,
        )
        values = [weight.numpy() for weight in layer.weights]
        self._later += [(self._named(depthwise), values[:1]), (self._named(pointwise), values[1:])]
        more = [] if name in FUSED else [self._activation(layer.activation, f"{layer.name}_activation")]
        return [depthwise, pointwise, *more]

    def _named(self, layer: Any) -> Any:
        name, count = layer.name, 0
        while layer.name in self._taken:
            count += 1
            layer._name = f"{name}_{count}"
        self._taken.add(layer.name)
        return layer


def activation_name(function: Any) -> str:
    """Returns the name of an activation: of a function or of an object that is called."""
    return str(getattr(function, "__name__", type(function).__name__)) if function is not None else "linear"


def normalizes_last_axis(layer: Any) -> bool:
    """Returns whether a normalization layer works along the last axis alone."""
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    rank = len(layer.input_shape)
    return {axis % rank for axis in axes} == {rank - 1}


def _timed(layer: Any) -> Any:
    """Returns the Dense layer of a TimeDistributed one, which computes the same; None of any other layer."""
    is_one = type(layer).__name__ == "TimeDistributed" and isinstance(layer.layer, keras.layers.Dense)
    return layer.layer if is_one else None


def _opens(layer: Any) -> bool:
    return TF_KERAS.is_model(layer) and TF_KERAS.has_graph(layer)


def _numbers(value: Any) -> Any:
    """Returns a number, or None of a list: one for each channel."""
    return float(value) if np.ndim(value) == 0 else None


def _fold(dense: Any, normalization: Any) -> list[np.ndarray]:
    """Returns kernel and bias of a Dense layer that normalizes its outputs itself, by the moving statistics."""
    mean, variance = (np.asarray(each, np.float64) for each in (
        normalization.moving_mean, normalization.moving_variance,
    ))  # fmt: skip
    scale = 1.0 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * np.asarray(normalization.gamma, np.float64)
    bias = np.asarray(dense.bias, np.float64) if dense.use_bias else 0.0
    offset = np.asarray(normalization.beta, np.float64) if normalization.center else 0.0
    folded = np.asarray(dense.kernel, np.float64) * scale, (bias - mean) * scale + offset
    return [each.astype(np.float32) for each in folded]
