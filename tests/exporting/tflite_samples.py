"""Small `.tflite` files as the converter makes them, each once a process."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf


def _conv() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.ReLU(6.0)(x)
    x = keras.layers.Conv2D(16, 1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def _dense() -> Any:
    inputs = keras.Input((32,))
    x = keras.layers.Dense(32, activation="relu")(inputs)  # 32 * 32 = 1,024 elements: just enough for "dynamic".
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def _lstm() -> Any:
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(8)(inputs)))


def _gru() -> Any:
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GRU(8)(inputs)))


def _tokens() -> Any:
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 8)(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


MODELS = {"conv": _conv, "dense": _dense, "lstm": _lstm, "gru": _gru, "tokens": _tokens}


@functools.cache
def model(name: str) -> Any:
    """Returns the Keras model of a sample; one that converts it again has the same weights."""
    keras.utils.set_random_seed(7)
    made = MODELS[name]()
    for weight in made.trainable_weights:  # Biases of 0 would be left out of the file.
        weight.assign(np.random.default_rng(7).normal(scale=0.3, size=weight.shape))
    return made


@functools.cache
def sample(name: str, kind: str = "float32") -> bytes:
    """Returns a model of `MODELS` as a file of this kind, for batches of one."""
    made = model(name)
    spec = tf.TensorSpec((1, *made.input_shape[1:]), made.inputs[0].dtype, name="input")
    return converted(lambda x: {"output": made(x, training=False)}, spec, kind, examples(name, 50), made.variables)


def examples(name: str, count: int) -> np.ndarray:
    """Returns inputs [count, ...] of a sample."""
    shape, generator = (count, *model(name).input_shape[1:]), np.random.default_rng(3)
    ids = name == "tokens"
    return generator.integers(0, 20, shape).astype(np.int32) if ids else generator.normal(size=shape).astype(np.float32)


def converted(
    function: Callable[[Any], Any],
    spec: Any,
    kind: str = "float32",
    calibration: np.ndarray | None = None,
    variables: Any = (),
) -> bytes:
    """Returns a function of one tensor as a file; operators that TFLite lacks become Flex and custom ones.

    Args:
        function, spec: what to convert, and its input.
        kind, calibration: as of `sample`.
        variables: that the function uses. Not their layers: saving those would take seconds.
    """
    module = tf.Module()
    module.held = list(variables)
    module.serve = tf.function(function, input_signature=[spec], autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif kind in ("int8", "int16x8"):
            sets = tf.lite.OpsSet
            wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.representative_dataset = lambda: ([example[np.newaxis]] for example in calibration)
            converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if kind == "int8" else wide]
            ends = tf.int8 if kind == "int8" else tf.int16
            converter.inference_input_type = converter.inference_output_type = ends
        elif kind == "float32":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
            converter.allow_custom_ops = True
        return converter.convert()
