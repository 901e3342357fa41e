"""TensorFlow Addons' own optimizers, where it installs (its last release is for Python 3.11 and older).

It imports names that Keras 3 has moved; they are found when `keras` means tf_keras for the length of its import.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras

PACKAGE = "tensorflow_addons"


def is_installed() -> bool:
    """Returns whether TensorFlow Addons is there; imports nothing."""
    return importlib.util.find_spec(PACKAGE) is not None


@functools.cache
def optimizers() -> types.ModuleType:
    """Returns `tensorflow_addons.optimizers`, working on tf_keras.

    Raises:
        UserError: TensorFlow was set up for Keras 3 before tfday7 was imported.
    """
    legacy = keras.optimizers.legacy.Optimizer  # Loads tf_keras, which the next lines lend its name.
    with _keras_is_tf_keras(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It says at length that it has reached its end of life.
        module = importlib.import_module(f"{PACKAGE}.optimizers")
    if not issubclass(module.LAMB, legacy):
        raise UserError(
            "TensorFlow Addons was loaded with Keras 3; its optimizers take tf_keras",
            "import tfday7 before tensorflow, or set TF_USE_LEGACY_KERAS=1",
        )
    return module


@contextlib.contextmanager
def _keras_is_tf_keras() -> Iterator[None]:
    """Lets every `keras` name in `sys.modules` point at tf_keras, and puts all of them back."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "keras"}
    lent = {
        "keras" + name.removeprefix("tf_keras"): module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "tf_keras"
    }
    for name in before:
        del sys.modules[name]
    sys.modules.update(lent)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "keras"]:
            del sys.modules[name]
        sys.modules.update(before)
