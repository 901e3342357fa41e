"""How far kernels for the same operators lie apart on a file: those of other devices round as differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes


def steps_apart(path: Path, fed: np.ndarray) -> int:
    """Returns the largest difference of answers, in steps of the output, between XNNPACK and LiteRT's own kernels.

    Args:
        path: a `.tflite` file with integer outputs.
        fed: [n, ...], in the model's own numbers.

    Raises:
        UserError: LiteRT's own kernels do not run it.
    """
    from ai_edge_litert.interpreter import OpResolverType

    own, default = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO
    try:
        with without_notes():
            return int(np.abs(_outputs(path, own, fed) - _outputs(path, default, fed)).max())
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: LiteRT's own kernels do not run it ({error})", "export it in another kind") from error


def _outputs(path: Path, resolver: int, fed: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for x in fed:
        interpreter.reset_all_variables()  # Some operators keep state.
        interpreter.set_tensor(given["index"], x[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(made["index"])[0].astype(np.int64))
    return np.stack(outputs)
