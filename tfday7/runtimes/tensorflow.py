"""Runs a SavedModel, or a Keras 3 file, in TensorFlow: as a graph, or compiled by XLA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.saved_model import SIGNATURE, judge
from tfday7.runtimes.table import RUNTIMES, one_of_each

# What TensorFlow raises for a SavedModel whose parts do not fit together.
_MISFIT = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError)


@RUNTIMES.register("tensorflow")
class TensorFlow(Runner):
    """See `Runner`. Threads can be set in a process that has not used TensorFlow yet, and only there."""

    name = "tensorflow"
    suffixes = ("", ".keras")
    compile_with_xla = False

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        super().__init__(path, threads, device, batch_size)
        set_threads(threads)
        if device == "gpu" and not tf.config.list_physical_devices("GPU"):
            raise UserError("TensorFlow finds no GPU on this machine")
        self._placed = f"/{device.upper()}:0"
        with tf.device(self._placed):
            function, given, made = _keras3(path) if path.suffix == ".keras" else _saved_model(path)
            self._function = tf.function(function, jit_compile=self.compile_with_xla, reduce_retracing=True)
        if any(end.shape.rank is None for end in (given, made) if hasattr(end.shape, "rank")) or not len(given.shape):
            raise UserError(f"{path}: its input or output has no certain shape", "export the model again")
        if given.shape[0] not in (None, batch_size):
            raise UserError(f"{path}: made for batches of {given.shape[0]}, not {batch_size}")
        self.input, self.output = (Tensor(end.dtype.name, tuple(end.shape)) for end in (given, made))

    def feed(self, x: np.ndarray) -> None:
        """See `Runner.feed`."""
        with tf.device(self._placed):
            self._x = tf.constant(x)

    def run(self) -> None:
        """See `Runner.run`."""
        with tf.device(self._placed):
            self._y = self._function(self._x)
        if self.device == "gpu":
            self._y.numpy()  # Waits for it; on a CPU the call itself does.

    def read(self) -> np.ndarray:
        """See `Runner.read`."""
        return self._y.numpy()


@RUNTIMES.register("xla")
class Xla(TensorFlow):
    """See `TensorFlow`."""

    name = "xla"
    compile_with_xla = True


def set_threads(threads: int) -> None:
    """Sets how many threads an operator may use, where TensorFlow has not started yet; elsewhere it is as it was."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if "after initialization" not in str(error):
            raise


def _saved_model(path: Path) -> tuple[Any, Any, Any]:
    judge(path)
    try:
        loaded = tf.saved_model.load(str(path))
    except (*_MISFIT, tf.errors.OpError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{path}: TensorFlow cannot load it ({lines[0][:300]})") from error
    signatures = getattr(loaded, "signatures", None)
    if not isinstance(signatures, Mapping) or SIGNATURE not in signatures:
        raise UserError(f"{path}: the SavedModel has no signature {SIGNATURE}", "export it with tfday7.export")
    signature = signatures[SIGNATURE]
    given = list(signature.structured_input_signature[1].items())
    (name, start), (key, end) = one_of_each(path, given, list(signature.structured_outputs.items()))

    def call(x: Any) -> Any:
        return signature(**{name: x})[key]

    call.loaded = loaded  # type: ignore[attr-defined]  # Its variables live as long as somebody holds it.
    return call, start, end


def _keras3(path: Path) -> tuple[Any, Any, Any]:
    from tfday7.models import door, raw_columns

    model = raw_columns.core_inside(door.to_keras3(door.read(path)))  # Judged before anything of it is built.
    start, end = one_of_each(path, model.inputs, model.outputs)
    return (lambda x: model(x, training=False)), _End(start), _End(end)


class _End:
    """A Keras 3 tensor with the attributes of a TensorFlow one."""

    def __init__(self, tensor: Any) -> None:
        self.shape = tensor.shape
        self.dtype = tf.as_dtype(tensor.dtype)
