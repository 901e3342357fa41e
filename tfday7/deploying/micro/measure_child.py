"""Finds the smallest arena in which TFLite Micro runs a model, and runs the test vectors in it.

A process of its own, because TFLite Micro reads the model as it is: one that is damaged ends the process.

    python -m tfday7.deploying.micro.measure_child REQUEST.json

The request names the model, a NumPy file of inputs [n, ...] in the model's own numbers, and where outputs and the
answer go. The answer is JSON: `arena_bytes` and `version`, or `refused`. What TFLite Micro says goes to stderr.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 16
SMALLEST, LARGEST = 2**10, 2**26


def main(request: dict[str, str]) -> dict[str, Any]:
    """Returns the answer to a request."""
    content = Path(request["model"]).read_bytes()
    inputs = np.load(request["inputs"], allow_pickle=False)
    if interpreter_of(content, LARGEST) is None:
        return {"refused": f"not even with {LARGEST:,} bytes"}
    arena = smallest_arena(lambda size: suffices(content, size))
    interpreter = interpreter_of(content, arena)
    try:
        outputs = [answer(interpreter, x) for x in inputs]
    except RuntimeError as error:
        return {"refused": str(error)}
    np.save(request["outputs"], np.stack(outputs))
    return {"arena_bytes": arena, "version": importlib.metadata.version("tflite_micro")}


def smallest_arena(is_enough: Callable[[int], bool]) -> int:
    """Returns the smallest size in bytes, a multiple of 16, that is enough; `LARGEST` is."""
    enough = SMALLEST
    while not is_enough(enough):
        enough *= 2
    too_small = 0 if enough == SMALLEST else enough // 2
    while enough - too_small > ALIGNMENT:
        middle = (too_small + enough) // 2 // ALIGNMENT * ALIGNMENT
        if is_enough(middle):
            enough = middle
        else:
            too_small = middle
    return enough


def suffices(content: bytes, arena_bytes: int) -> bool:
    """Returns whether an interpreter can be made with an arena of this size.

    It is tried in a copy of this process: some kernels, the LSTM's for one, follow a null pointer when memory runs out.
    """
    child = os.fork()
    if child == 0:
        os._exit(0 if interpreter_of(content, arena_bytes) is not None else 1)
    return os.waitpid(child, 0)[1] == 0


def interpreter_of(content: bytes, arena_bytes: int) -> Any:
    """Returns an interpreter with an arena of this size; None where it cannot be made."""
    from tflite_micro import runtime

    try:
        return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
    except RuntimeError:
        return None


def answer(interpreter: Any, x: np.ndarray) -> np.ndarray:
    """Returns the output for one example, without the batch; what is kept from the last one is forgotten first."""
    interpreter.reset()
    interpreter.set_input(x[np.newaxis], 0)
    interpreter.invoke()
    return interpreter.get_output(0)[0]


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(asked["answer"]).write_text(json.dumps(main(asked)), encoding="utf-8")
