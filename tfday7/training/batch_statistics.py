"""BatchNormalization in training: by the fused kernel, and over all replicas. Importing this module loads TensorFlow.

Models that came from Keras 3 compute without the fused kernel, so that their outputs are the same bits as there; they
train with it, as it is faster (benchmarks/fused_training.py).

Keras's own synchronization sums squares in one pass, and leaves out the n / (n - 1) by which the fused kernel of one
device corrects the moving variance of images. Here the mean is summed first and the squared distances from it second,
which costs two small all-reduces a layer, and loses no digits where the mean is large.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.frameworks import keras, tf

IMAGES = 4  # Axes of a batch of them.


def prepare(model: Any, accumulate_steps: int) -> None:
    """Makes the BatchNormalization layers of a model exact over replicas and micro-batches; before it is traced.

    Args:
        model: a tf_keras model, made in the scope of its strategy.
        accumulate_steps: micro-batches of a step; the last batch of an epoch may leave some empty.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    for layer in model.submodules:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        if replicas > 1:
            _synchronize(layer)
        elif accumulate_steps > 1:
            layer._support_zero_size_input = lambda: True


@contextlib.contextmanager
def fused(model: Any) -> Iterator[None]:
    """Trains the BatchNormalization layers of images with the fused kernel; what they compute afterwards is as before.

    Its outputs differ in the last bits; its moving variance is the unbiased one, as that of every model made in
    tf_keras.

    Args:
        model: a built tf_keras model, before it is traced.
    """
    able = [layer for layer in model.submodules if _can_be_fused(layer)]
    for layer in able:
        layer.fused, layer._data_format = True, "NHWC"
    try:
        yield
    finally:
        for layer in able:
            layer.fused = False
        if able:  # Else graphs that were traced meanwhile would go on with it.
            model.train_function = model.test_function = model.predict_function = None


def _can_be_fused(layer: Any) -> bool:
    """Returns whether a layer was told not to use the fused kernel, which could serve it: images, channels last."""
    if not isinstance(layer, keras.layers.BatchNormalization) or layer.fused is not False or not layer.built:
        return False
    if isinstance(layer._calculate_mean_and_var, _Moments) or layer.synchronized or not layer._fused_can_be_used():
        return False
    inputs = [each for node in layer._inbound_nodes for each in tf.nest.flatten(node.input_tensors)]
    masked = any(getattr(each, "_keras_mask", None) is not None for each in inputs)
    return layer.input_spec.ndim == IMAGES and list(layer.axis) == [IMAGES - 1] and not masked


def _synchronize(layer: Any) -> None:
    """Makes a layer's statistics those of all replicas, once."""
    if isinstance(layer._calculate_mean_and_var, _Moments):
        return
    corrects = bool(layer.fused)
    layer.fused = False
    moments = _Moments(layer, corrects, layer._sync_calculate_mean_and_var)
    layer._calculate_mean_and_var = moments  # Not by `synchronized`, which would stay in the model that is delivered.
    layer._assign_moving_average = moments.assign
    layer._support_zero_size_input = lambda: False  # Keras would let a replica without examples keep its averages.


class _Moments:
    """Mean and variance over all replicas; gives the layer's moving variance the fused kernel's correction.

    Args:
        layer: a BatchNormalization.
        corrects: whether the fused kernel would have served it.
        masked: Keras's own, for inputs with a mask.
    """

    def __init__(self, layer: Any, corrects: bool, masked: Callable[..., Any]) -> None:
        self.layer, self.corrects, self.masked = layer, corrects, masked
        self._assign = layer._assign_moving_average
        self._replica = threading.local()  # Replicas are traced in threads that take turns.

    def __call__(self, x: Any, axes: Any, keep_dims: bool, mask: Any = None) -> tuple[Any, Any]:
        """Returns (mean, variance) of x [batch, ..., channels] over `axes`, of the whole batch."""
        context = tf.distribute.get_replica_context()
        self._replica.count = None
        if mask is not None or context is None:
            return self.masked(x, axes, keep_dims, mask=mask)
        y = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
        local = tf.reduce_sum(y, axis=axes, keepdims=True)
        size = tf.reduce_prod([tf.shape(y)[axis] for axis in axes])
        packed = tf.concat([tf.reshape(local, [-1]), [tf.cast(size, y.dtype)]], 0)
        packed = context.all_reduce(tf.distribute.ReduceOp.SUM, packed)
        count = packed[-1]
        mean = tf.math.divide_no_nan(tf.reshape(packed[:-1], tf.shape(local)), count)
        squares = tf.reduce_sum(tf.square(y - mean), axis=axes, keepdims=True)
        variance = tf.math.divide_no_nan(context.all_reduce(tf.distribute.ReduceOp.SUM, squares), count)
        if not keep_dims:
            mean, variance = (tf.squeeze(each, axes) for each in (mean, variance))
        self._replica.count = count
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)

    def assign(self, variable: Any, value: Any, momentum: Any, inputs_size: Any) -> Any:
        """Moves an average: of the variance, to what the fused kernel would give; not for a batch without examples."""
        count = getattr(self._replica, "count", None)
        if count is not None:
            value = tf.cast(value, variable.dtype)
            if self.corrects and variable is self.layer.moving_variance:
                value *= tf.cast(count / tf.maximum(count - 1.0, 1.0), value.dtype)
            value = tf.where(count > 0, value, variable)
        return self._assign(variable, value, momentum, inputs_size)
