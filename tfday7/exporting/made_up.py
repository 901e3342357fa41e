"""Inputs for a model that comes without data: its files can still be compared with it, though not for what they score.

They say nothing of the values that occur in use, so nothing is calibrated on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset, Examples, Problem

EXAMPLES = 16
MAX_BYTES = 2**27


def dataset(model: Any, name: str, shape: tuple[int, ...] | None) -> Dataset:
    """Returns made-up inputs for a tf_keras model: from 0 to 1 for images, normal for the rest.

    Where it takes whole numbers: those that an IntegerLookup knows, the ids of an Embedding or CategoryEncoding, or
    bytes from 0 to 255.

    Args:
        model: with one input and one output.
        name: what to call them.
        shape: of one example, where the model leaves sizes open.

    Raises:
        UserError: a size is open and no shape is given, or the shape does not fit.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(f"{name}: {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected one of each")
    given, made = model.inputs[0], model.outputs[0]
    shape = _settled(tuple(given.shape[1:]), shape, name)
    generator = np.random.default_rng(0)
    count = max(2, min(EXAMPLES, MAX_BYTES // (4 * int(np.prod(shape)))))
    if given.dtype.is_integer:
        x = generator.choice(_numbers(model), size=(count, *shape)).astype(np.int32)
    elif len(shape) == 3:
        x = generator.uniform(size=(count, *shape)).astype(np.float32)
    else:
        x = generator.normal(size=(count, *shape)).astype(np.float32)
    outputs = [size for size in made.shape[1:] if size is not None]
    problem = Problem("regression", "array", shape, int(np.prod(outputs, dtype=np.int64)))
    part = Examples(x, np.zeros((count, 1), np.float32))
    return Dataset(f"made-up inputs for {name}", problem, part, part, part, "")


def _settled(own: tuple[int | None, ...], given: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    """Returns the shape of one example."""
    if given is None:
        if None in own:
            raise UserError(f"{name} takes inputs of shape {own}: sizes are open", "say which: --input_shape=SIZES")
        return tuple(int(size) for size in own if size is not None)
    if len(own) != len(given) or any(have not in (None, want) for have, want in zip(own, given, strict=True)):
        raise UserError(f"--input_shape={','.join(map(str, given))}: {name} takes inputs of shape {own}")
    return given


def _numbers(model: Any) -> np.ndarray:
    """Returns the whole numbers that a model takes; 0 and 1 where it does not say."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.IntegerLookup):
            known = np.array(layer.get_vocabulary(include_special_tokens=False))
            if (held := known[known == known.astype(np.int32)]).size:
                return held
    sizes = [layer.input_dim for layer in model.layers if isinstance(layer, keras.layers.Embedding)]
    sizes += [layer.num_tokens for layer in model.layers if isinstance(layer, keras.layers.CategoryEncoding)]
    return np.arange(min(sizes, default=256 if model.inputs[0].dtype == "uint8" else 2))
