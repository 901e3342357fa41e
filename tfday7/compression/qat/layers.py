"""The layers that fake quantization is made of: values rounded to 256 steps of a range, weights to 255 of theirs.

Ranges are those of TFLite's int8 scheme (https://ai.google.dev/edge/litert/models/quantization_spec): activations have
any range that holds 0; weights a symmetric one, of 127 steps to each side, one for each channel of a convolution.

Weights are rounded by plain arithmetic, which the converter folds into constants that lie on the grid it then finds by
itself. So what is folded into them, a BatchNormalization for example, folds as in a float model, and the range is never
that of an earlier step, as a stored one is. Importing this module loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf

STEPS = 255  # Of an activation's range.
WEIGHT_STEPS = 127  # To each side of 0.
UNIT = (0.0, 255.0 / 256.0)  # Of sigmoid and softmax: TFLite fixes their scale at 1/256, and that of tanh at 1/128.
SIGNED_UNIT = (-1.0, 127.0 / 128.0)
PACKAGE = "tfday7"


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantize(keras.layers.Layer):
    """Rounds values to the 256 steps of a range, which follows the batches while training.

    Args:
        fixed: (lowest, highest), where TFLite leaves no choice; None for a range that is observed.
        decay: how much of the range is kept in a training step.
        exported: whether it rounds outside of training too. Where a model has parts that only the export's own
            calibration can describe, the file's ranges are all its own, and fake quantization is for training.
    """

    def __init__(
        self, fixed: Sequence[float] | None = None, decay: float = 0.99, exported: bool = True, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.fixed = tuple(float(end) for end in fixed) if fixed is not None else None
        self.decay = decay
        self.exported = exported
        self.supports_masking = True
        self.seen: list[float] | None = None  # While calibrating, the ends of the values that have come.

    def build(self, input_shape: Any) -> None:
        """Makes the two variables of a range that is observed."""
        if self.fixed is None:
            shared = {
                "shape": (),
                "trainable": False,
                "synchronization": tf.VariableSynchronization.ON_READ,
                "aggregation": tf.VariableAggregation.MEAN,
            }
            self.low = self.add_weight(name="low", initializer=keras.initializers.Constant(-1.0), **shared)
            self.high = self.add_weight(name="high", initializer=keras.initializers.Constant(1.0), **shared)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None, observe: bool = True) -> Any:
        """Returns the rounded inputs; `observe=False` uses the range without moving it."""
        if self.seen is not None:
            self.seen += [float(tf.reduce_min(inputs)), float(tf.reduce_max(inputs))]
            return inputs
        if isinstance(training, bool | int) or training is None:
            return self._training(inputs, observe) if training else self._inference(inputs)
        return tf.cond(
            tf.cast(training, tf.bool), lambda: self._training(inputs, observe), lambda: self._inference(inputs)
        )

    def ends(self) -> tuple[Any, Any]:
        """Returns the lowest and highest value, before TensorFlow moves both so that 0 is one of the steps."""
        low, high = self.fixed if self.fixed is not None else (self.low, self.high)
        return low, high

    def step(self) -> Any:
        """Returns the distance of two values that it tells apart; 0 where a file's ranges are not these."""
        low, high = self.ends()
        return (high - low) / STEPS if self.exported and self.seen is None else 0.0

    def set_ends(self, low: float, high: float) -> None:
        """Sets the range that is observed from; it is widened to hold 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < np.finfo(np.float32).tiny * STEPS:
            high = low + 1.0  # All values are 0, and any range does.
        self.low.assign(low)
        self.high.assign(high)

    def get_config(self) -> dict[str, Any]:
        """See `keras.layers.Layer`."""
        return {**super().get_config(), "fixed": self.fixed, "decay": self.decay, "exported": self.exported}

    def _training(self, inputs: Any, observe: bool) -> Any:
        if self.fixed is None and observe:
            seen = tf.stop_gradient(inputs)
            for variable, end in (
                (self.low, tf.minimum(tf.reduce_min(seen), 0.0)),
                (self.high, tf.maximum(tf.reduce_max(seen), 0.0)),
            ):
                variable.assign(variable * self.decay + tf.cast(end, variable.dtype) * (1.0 - self.decay))
        return self._rounded(inputs)

    def _inference(self, inputs: Any) -> Any:
        return self._rounded(inputs) if self.exported else tf.identity(inputs)

    def _rounded(self, inputs: Any) -> Any:
        low, high = self.ends()
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedWeights(keras.layers.Wrapper):
    """Computes what a layer computes, with weights rounded to 255 steps; has the layer's name.

    Args:
        layer: any layer whose `call` reads its weights as attributes.
        rounded: for each weight to round (attribute, "cell.kernel" for one of a layer inside; axes over which a
            range goes, None for all; into how many blocks of the last axis it is cut before, each with ranges of its
            own).
    """

    def __init__(self, layer: Any, rounded: Sequence[Sequence[Any]], **settings: Any) -> None:
        super().__init__(layer, **{"name": layer.name, **settings})
        self.rounded = [(name, tuple(axes) if axes is not None else None, blocks) for name, axes, blocks in rounded]
        self.supports_masking = layer.supports_masking

    def call(self, inputs: Any, training: Any = None, **arguments: Any) -> Any:
        """Returns what the layer returns for these inputs."""
        if self.layer._expects_training_arg:
            arguments["training"] = training
        if not self.layer._expects_mask_arg:
            arguments.pop("mask", None)  # Keras offers one to every layer that takes more than inputs.
        with self._in_place():
            return self.layer.call(inputs, **arguments)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """See `keras.layers.Layer`."""
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """See `keras.layers.Layer`."""
        return self.layer.compute_mask(inputs, mask)

    def get_config(self) -> dict[str, Any]:
        """See `keras.layers.Layer`."""
        return {**super().get_config(), "rounded": [list(each) for each in self.rounded]}

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Puts rounded tensors where the layer has its variables, past Keras's tracking of attributes."""
        kept = []
        try:
            for name, axes, blocks in self.rounded:
                *inside, attribute = name.split(".")
                owner = self.layer
                for part in inside:
                    owner = getattr(owner, part)
                variable = owner.__dict__[attribute]
                kept.append((owner.__dict__, attribute, variable))
                owner.__dict__[attribute] = rounded(variable, axes, blocks)
            yield
        finally:
            for attributes, attribute, variable in kept:
                attributes[attribute] = variable


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedScale(keras.layers.BatchNormalization):
    """A BatchNormalization that no convolution takes in: outside of training a depthwise 1x1 convolution.

    So each channel has a scale of its own in the file, and nothing is rounded between scale and offset; a
    multiplication and an addition would share one scale among all channels.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns the normalized inputs."""
        if isinstance(training, bool | int) or training is None:
            return super().call(inputs, training=True) if training else self._scaled(inputs)
        return tf.cond(
            tf.cast(training, tf.bool),
            lambda: super(QuantizedScale, self).call(inputs, training=True),
            lambda: self._scaled(inputs),
        )

    def _scaled(self, inputs: Any) -> Any:
        scale = tf.math.rsqrt(self.moving_variance + self.epsilon)
        if self.scale:
            scale = scale * self.gamma
        offset = -self.moving_mean * scale
        return per_channel(inputs, scale, offset + self.beta if self.center else offset)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedLayerNormalization(keras.layers.LayerNormalization):
    """Layer normalization over the last axis, rounded where TFLite rounds: it has no operator for all of it.

    The variance is held to one step of its range at least, where float arithmetic adds `epsilon`: in int8 a smaller one
    is 0, and has no inverse root.
    """

    def __init__(self, decay: float = 0.99, exported: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.decay, self.exported = decay, exported
        self.quantizers = {
            part: FakeQuantize(decay=decay, exported=exported, name=part)
            for part in ("mean", "centered", "squared", "variance", "inverse", "normalized")
        }

    @property
    def paired_weights(self) -> list[Any]:
        """What a LayerNormalization has too; see `models.door.weights.copy_weights`."""
        return [weight for weight in (self.gamma, self.beta) if weight is not None]

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the normalized inputs."""

        def rounded(part: str, values: Any) -> Any:
            return self.quantizers[part](values, training=training)

        mean = rounded("mean", tf.reduce_mean(inputs, axis=-1, keepdims=True))
        centered = rounded("centered", inputs - mean)
        squared = rounded("squared", centered * centered)
        variance = rounded("variance", tf.reduce_mean(squared, axis=-1, keepdims=True))
        variance = tf.maximum(variance, tf.maximum(self.quantizers["variance"].step(), self.epsilon))
        inverse = rounded("inverse", tf.math.rsqrt(variance))
        normalized = rounded("normalized", centered * inverse)
        scale = self.gamma if self.scale else tf.ones(inputs.shape[-1:])
        return per_channel(normalized, scale, self.beta if self.center else tf.zeros(inputs.shape[-1:]))

    def get_config(self) -> dict[str, Any]:
        """See `keras.layers.Layer`."""
        return {**super().get_config(), "decay": self.decay, "exported": self.exported}


def rounded(weight: Any, axes: Sequence[int] | None, blocks: int = 1) -> Any:
    """Returns a weight on the grid of its symmetric ranges; gradients pass as if nothing had been rounded.

    Args:
        weight: a variable or tensor.
        axes: over which a range goes; None for one range for all of it.
        blocks: into how many equal parts of the last axis it is cut before.
    """
    value = tf.convert_to_tensor(weight)
    if blocks > 1:
        return tf.concat([rounded(part, axes) for part in tf.split(value, blocks, axis=-1)], axis=-1)
    fixed = tf.stop_gradient(value)
    largest = tf.reduce_max(tf.abs(fixed), axis=axes, keepdims=True)
    step = tf.where(largest > 0, largest / WEIGHT_STEPS, tf.ones_like(largest))
    return value + (tf.round(fixed / step) * step - fixed)


def per_channel(inputs: Any, scale: Any, offset: Any) -> Any:
    """Returns inputs * scale + offset, one of each a channel of the last axis, as a depthwise 1x1 convolution."""
    channels = inputs.shape[-1]
    kernel = tf.reshape(scale, (1, 1, channels, 1))

    def scaled(image: Any) -> Any:
        return tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), "VALID") + offset

    if len(inputs.shape) == 4:
        return scaled(inputs)
    between = inputs.shape[1:-1]
    if None in between:  # Every place is an image of its own, as its number is not known.
        return tf.reshape(scaled(tf.reshape(inputs, (-1, 1, 1, channels))), tf.shape(inputs))
    image = tf.reshape(inputs, (-1, 1, int(np.prod(between)), channels))
    return tf.reshape(scaled(image), (-1, *between, channels))
