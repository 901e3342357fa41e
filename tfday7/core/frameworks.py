"""The one place that sets up TensorFlow and Keras.

The engine room is tf_keras (Keras 2): TFMOT's pruning, clustering and QAT take nothing else, multi-worker `fit` fails
with Keras 3 (keras#20585, keras#20329), and Keras 3 clips gradients per replica before the all-reduce. Both doors of
the program speak Keras 3, so it is set up here too, on TensorFlow.

`tf`, `keras` and `keras3` load on first use of an attribute: modules may import them at the top, and `--help`,
validation and reports still never load TensorFlow. Write `keras.layers.Dense` for tf_keras and `keras3.layers.Dense`
for Keras 3; never `tf.keras`, which is either of the two depending on who imported TensorFlow first.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes


class _LazyModule(types.ModuleType):
    """A module that is imported when the first of its attributes is read."""

    def __init__(self, name: str, load: Callable[[], types.ModuleType]) -> None:
        super().__init__(name)
        self._load = load

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # Introspection (doctest, inspect, pytest) must not load TensorFlow.
            raise AttributeError(attribute)
        return getattr(self._load(), attribute)


def _load_tensorflow() -> types.ModuleType:
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    # Legacy Keras makes TensorFlow's own references to Keras (the TFLite converter's, TFMOT's) point at tf_keras.
    # When TensorFlow was loaded before us this comes too late for `tf.keras`, which is why nothing here uses that name.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # No notes; warnings and errors stay.
    with without_notes():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices()  # Looks for CUDA here and now, while complaints can be held back.
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow


@functools.cache
def _load_tf_keras() -> types.ModuleType:
    _load_tensorflow()
    module = importlib.import_module("tf_keras")
    # Random layers then draw from `tf.random.Generator` variables, which can be saved and reseeded; the older stateful
    # kernels keep hidden state, and no run could be resumed exactly.
    module.backend.experimental.enable_tf_random_generator()
    return module


def _load_keras3() -> types.ModuleType:
    _load_tensorflow()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    module = importlib.import_module("keras")
    if module.config.backend() != "tensorflow":
        raise UserError(
            f"Keras 3 runs on {module.config.backend()}; expected TensorFlow",
            "set KERAS_BACKEND=tensorflow before keras is imported",
        )
    return module


def tensorflow_is_loaded() -> bool:
    """Returns whether TensorFlow is in this process already, by us or by anyone else."""
    return "tensorflow" in sys.modules


if TYPE_CHECKING:
    import keras as keras3
    import tensorflow as tf
    import tf_keras as keras
else:
    tf = _LazyModule("tensorflow", _load_tensorflow)
    keras = _LazyModule("tf_keras", _load_tf_keras)
    keras3 = _LazyModule("keras", _load_keras3)

__all__ = ["keras", "keras3", "tensorflow_is_loaded", "tf"]
