"""Runs an `.onnx` file through ONNX Runtime: on the CPU, or on a GPU through its TensorRT and CUDA providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.table import RUNTIMES, one_of_each

# TensorRT takes what it can, CUDA the rest.
GPU_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int8)": "int8",
    "tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(int64)": "int64",
}  # fmt: skip


@RUNTIMES.register("onnxruntime")
class OnnxRuntime(Runner):
    """See `Runner`."""

    name = "onnxruntime"
    suffixes = (".onnx",)

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        import onnxruntime

        super().__init__(path, threads, device, batch_size)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), session_options(threads), providers=_providers(device)
            )
        except UserError:
            raise
        except Exception as error:  # Its exceptions share no base but Exception.
            said = str(error).strip().splitlines()[0][:300]
            raise UserError(f"{path}: ONNX Runtime cannot load it ({said})") from error
        if device == "gpu":
            _check_on_gpu(path, self._session)
        given, made = one_of_each(path, self._session.get_inputs(), self._session.get_outputs())
        self.input, self.output = _tensor(path, given), _tensor(path, made)
        self._names = given.name, made.name
        if self.input.shape[0] not in (None, batch_size):
            raise UserError(f"{path}: made for batches of {self.input.shape[0]}, not {batch_size}")
        self._binding = self._session.io_binding()
        self._binding.bind_output(self._names[1], "cpu")
        self._value = onnxruntime.OrtValue

    def feed(self, x: np.ndarray) -> None:
        """See `Runner.feed`."""
        self._binding.bind_ortvalue_input(self._names[0], self._value.ortvalue_from_numpy(np.ascontiguousarray(x)))

    def run(self) -> None:
        """See `Runner.run`."""
        self._session.run_with_iobinding(self._binding)

    def read(self) -> np.ndarray:
        """See `Runner.read`."""
        return self._binding.copy_outputs_to_cpu()[0]


def session_options(threads: int) -> Any:
    """Returns options for so many threads, which do not go on spinning behind a run and slow down what comes next."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # Errors; a note on each initializer that is not used helps nobody.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _providers(device: str) -> list[str]:
    import onnxruntime

    if device == "cpu":
        return ["CPUExecutionProvider"]
    found = [name for name in GPU_PROVIDERS if name in onnxruntime.get_available_providers()]
    if not found:
        raise UserError("this ONNX Runtime has no provider for GPUs", "pip install onnxruntime-gpu, on a GPU host")
    return [*found, "CPUExecutionProvider"]


def _check_on_gpu(path: Path, session: Any) -> None:
    """Raises UserError where a session runs on the CPU alone, as it does without a word when CUDA cannot be loaded."""
    if not set(GPU_PROVIDERS) & set(session.get_providers()):
        hint = "install the CUDA and cuDNN that onnxruntime-gpu asks for, or leave it out: --device=cpu"
        raise UserError(f"{path}: ONNX Runtime cannot use its providers for GPUs here, and took the CPU", hint)
    session.disable_fallback()


def _tensor(path: Path, argument: Any) -> Tensor:
    if argument.type not in _DTYPES:
        raise UserError(f"{path}: {argument.name} is a {argument.type}; expected numbers")
    return Tensor(_DTYPES[argument.type], tuple(size if isinstance(size, int) else None for size in argument.shape))
