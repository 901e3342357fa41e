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
def fused(model: Any, deterministic: bool = False) -> Iterator[None]:
    """Trains the BatchNormalization layers of images with the fused kernel; what they compute afterwards is as before.

    Its outputs differ in the last bits; its moving variance is the unbiased one, as that of every model made in
    tf_keras. A call with a mask goes without it: the kernel would count in what is masked.

    Args:
        model: a built tf_keras model, before it is traced.
        deterministic: leaves layers that are frozen alone: on a GPU their gradient by the kernel is not deterministic.
    """
    layers = [layer for layer in model.submodules if _can_be_fused(layer) and (layer.trainable or not deterministic)]
    for layer in layers:
        layer._data_format = "NHWC"
        layer.call = _fused_call(layer)  # Not by `fused` alone, which copies that are made meanwhile would take over.
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
        for one in (model, *model.submodules) if layers else ():
            if isinstance(one, keras.Model):  # Else graphs that were traced meanwhile would go on with the kernel.
                one.train_function = one.test_function = one.predict_function = None


def _can_be_fused(layer: Any) -> bool:
    """Returns whether a layer was told not to use the fused kernel, which could serve it: images, channels last."""
    if type(layer) is not keras.layers.BatchNormalization or not layer.built or layer.fused is not False:
        return False
    if "call" in vars(layer) or isinstance(layer._calculate_mean_and_var, _Moments) or layer.synchronized:
        return False
    return layer.input_spec.ndim == IMAGES and list(layer.axis) == [IMAGES - 1] and layer._fused_can_be_used()


def _fused_call(layer: Any) -> Callable[..., Any]:
    """Returns a `call` for the layer that uses the fused kernel where there is no mask."""
    own = layer.call

    @tf.autograph.experimental.do_not_convert
    def call(inputs: Any, mask: Any = None, training: Any = None) -> Any:
        layer.fused = mask is None
        try:
            return own(inputs, mask=mask, training=training)
        finally:
            layer.fused = False

    return call


def _synchronize(layer: Any) -> None:
    """Makes a layer's statistics those of all replicas, once."""
    if isinstance(layer._calculate_mean_and_var, _Moments):
        return
    corrects = bool(layer.fused) or vars(layer).pop("call", None) is not None
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
