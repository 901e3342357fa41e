"""Looks into a model's layers on a batch of training examples: signals forward, gradients back, how far weights went.

Runs layer by layer without tracing a graph: a probe costs a few ordinary steps, and nothing to set up. It never changes
the model: inference mode moves no BatchNormalization statistics and draws no random numbers, and no metric is updated
(a layer that its author calls with training=True does as it was told).
Importing this module loads TensorFlow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.diagnosis.health import ROUNDING, LayerProbe, Probe

BATCH, MIN_BATCH = 64, 2
MAX_VALUES = 50_000_000  # Of all tensors that are looked at: 200 MB.
SAMPLE = 100_000  # Values of a kernel that are remembered, to see how far it went.
PASSING = ("Flatten", "Reshape", "Rescaling", "Activation", "Normalization", "Dropout", "Permute", "Softmax")
RECTIFIERS = ("relu", "relu6")  # Those that are flat below zero.
ENDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0)}
SATURATED = 0.02  # Share of the range's width.


class Prober:
    """Probes one model again and again, on the same batch.

    Make it before training starts: the weights of then are what changes are measured from.

    Args:
        model: a functional tf_keras model of one input; compiled by the time of the first probe.
        dataset: its first examples at even distances are the batch.
    """

    def __init__(self, model: Any, dataset: Dataset) -> None:
        self.model = model
        self.calls = _calls(model)
        self.layers = [call.layer for call in self.calls]
        watched = [call.output for call in self.calls] + [call.input for call in self.calls]
        self.inside = keras.Model(model.inputs, watched + list(model.outputs))
        values = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in watched)
        count = max(MIN_BATCH, min(BATCH, MAX_VALUES // max(1, values)))
        chosen = np.unique(np.linspace(0, len(dataset.train) - 1, count).astype(int))
        self.x = tf.convert_to_tensor(np.asarray(dataset.train.x[chosen]))
        self.y = tf.convert_to_tensor(np.asarray(dataset.train.y[chosen]))
        self.start = {layer.name: _sampled(kernel) for layer in self.layers if (kernel := _kernel(layer)) is not None}

    def probe(self, epoch: int) -> Probe:
        """Returns what the layers do now.

        Args:
            epoch: how many epochs have been trained.
        """
        trained = {id(weight) for weight in self.model.trainable_weights}
        kernels = [kernel for layer in self.layers if (kernel := _kernel(layer)) is not None and id(kernel) in trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            *watched, answer = self.inside(self.x, training=False)
            loss = tf.reduce_mean(self.model.loss(self.y, answer))
        gradients = dict(zip((id(kernel) for kernel in kernels), tape.gradient(loss, kernels), strict=True))
        del tape
        outputs, inputs = watched[: len(self.calls)], watched[len(self.calls) :]
        probes = [
            self._layer(layer, np.asarray(output, np.float32), seen, gradients, epoch)
            for layer, output, seen in zip(self.layers, outputs, inputs, strict=True)
        ]
        dropouts = [layer.rate for layer in self.layers if isinstance(layer, keras.layers.Dropout)]
        return Probe(
            epoch=epoch,
            loss=_number(loss),
            layers=tuple(self._input(inputs) + [each for each in probes if _tells(each)]),
            penalty=_number(tf.add_n(self.model.losses)) or 0.0 if self.model.losses else 0.0,
            dropout=float(max(dropouts, default=0.0)),
            last_activation=_last_activation(self.layers),
        )

    def _input(self, inputs: list[Any]) -> list[LayerProbe]:
        """Returns what the first layer with a kernel sees: the inputs, or what layers without weights made of them."""
        first = next((i for i, layer in enumerate(self.layers) if _kernel(layer) is not None), None)
        # A nested model may scale its inputs itself.
        if first is None or isinstance(self.layers[first], (keras.layers.Embedding, keras.Model)):
            return []
        seen = np.asarray(inputs[first], np.float32)
        columns = np.asarray(seen if seen.ndim == 2 else np.zeros((1, 0)), np.float64)
        deviations = columns.std(axis=0)
        varying = deviations[deviations > ROUNDING * np.abs(columns.mean(axis=0))]
        ratio = _number(varying.max() / varying.min()) if varying.size > 1 else None
        return [LayerProbe("input", "Input", "", _number(seen.mean()), _number(seen.std()), scale_ratio=ratio)]

    def _layer(self, layer: Any, output: np.ndarray, seen: Any, gradients: dict[int, Any], epoch: int) -> LayerProbe:
        activation = _activation(layer)
        kernel = _kernel(layer)
        gradient = gradients.get(id(kernel))
        weights = None if kernel is None else _sampled(kernel)
        return LayerProbe(
            name=layer.name,
            kind=type(layer).__name__,
            activation=activation,
            mean=_number(output.mean()),
            std=_number(output.std()),
            dead_share=_dead(output) if activation in RECTIFIERS else None,
            saturated_share=_saturated(output, activation),
            spread=_spread(output),
            gradient=None if gradient is None else _rms(np.asarray(tf.convert_to_tensor(gradient))),
            weight=None if weights is None else _rms(weights),
            change=None if weights is None or not epoch else _rms(weights - self.start[layer.name]),
            statistics_gap=_statistics_gap(layer, seen),
        )


class _Call(NamedTuple):
    """A layer in the model's graph, with the tensors that go in (the first one) and come out."""

    layer: Any
    input: Any
    output: Any


def _statistics_gap(layer: Any, seen: Any) -> float | None:
    """Returns `LayerProbe.statistics_gap`; `seen` is what the layer gets."""
    if not isinstance(layer, keras.layers.BatchNormalization) or list(layer.axis) != [len(seen.shape) - 1]:
        return None
    values = np.asarray(seen, np.float64).reshape(-1, seen.shape[-1])
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), math.sqrt(layer.epsilon))
    moving = np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    apart = np.maximum(np.abs(layer.moving_mean - mean) / std, np.abs(np.log(moving / std)))
    return _number(np.median(apart))


def _tells(probe: LayerProbe) -> bool:
    """Returns whether a layer has anything that can go wrong: most only pass values on."""
    return probe.weight is not None or probe.statistics_gap is not None or bool(probe.activation)


def _calls(model: Any) -> list[_Call]:
    """Returns every call that gives one batch of numbers, in the order of the graph."""
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    return [
        _Call(node.layer, node.keras_inputs[0], node.outputs)
        for node in nodes
        if not node.is_input and node.keras_inputs and _is_batch(node.outputs)
    ]


def _is_batch(tensor: Any) -> bool:
    if not hasattr(tensor, "dtype") or not tensor.dtype.is_floating:
        return False
    return tensor.shape.rank is not None and tensor.shape.rank > 0 and tensor.shape[0] is None


def _kernel(layer: Any) -> Any:
    """Returns the largest weight of two or more dimensions, or None."""
    kernels = [weight for weight in layer.weights if len(weight.shape) > 1]
    return max(kernels, key=lambda weight: int(np.prod(weight.shape)), default=None)


def _activation(layer: Any) -> str:
    """Returns the name of a layer's activation; of layers that are one themselves, theirs."""
    if isinstance(layer, keras.layers.ReLU):
        return "leaky_relu" if layer.negative_slope else "relu"
    if isinstance(layer, (keras.layers.LeakyReLU, keras.layers.PReLU)):
        return "leaky_relu"
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
        return ""  # Its outputs are products of activations.
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return "" if name == "linear" else name


def _last_activation(layers: list[Any]) -> str:
    """Returns the output's activation: that of the last layer, or of those before while they only pass values on."""
    for layer in reversed(layers):
        if _activation(layer) or type(layer).__name__ not in PASSING:
            return _activation(layer)
    return ""


def _sampled(kernel: Any) -> np.ndarray:
    values = np.asarray(kernel, np.float64).ravel()
    return values[:: max(1, math.ceil(values.size / SAMPLE))]


def _dead(output: np.ndarray) -> float:
    """Returns the share of units that are 0 for every example and at every place."""
    return float(np.mean(np.all(output.reshape(-1, output.shape[-1]) == 0, axis=0)))


def _saturated(output: np.ndarray, activation: str) -> float | None:
    if activation not in ENDS:
        return None
    low, high = ENDS[activation]
    margin = SATURATED * (high - low) / 2
    return float(np.mean((output < low + margin) | (output > high - margin)))


def _spread(output: np.ndarray) -> float | None:
    """Returns the deviation from example to example, relative to the outputs' size; 0 where they are all 0."""
    size, apart = _rms(output), _rms(output - output.mean(axis=0))
    return None if size is None or apart is None else apart / size if size else 0.0


def _rms(values: np.ndarray) -> float | None:
    return _number(math.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _number(value: Any) -> float | None:
    """Returns a finite number, or None."""
    number = float(value)
    return number if math.isfinite(number) else None
