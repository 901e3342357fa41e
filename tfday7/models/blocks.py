"""What every architecture shares: the way in, the way out, and the penalty on kernels."""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models.architecture import Options

MAX_FILTERS = 8192


def inputs(problem: Problem) -> tuple[Any, Any]:
    """Returns the input tensor and what the first layer should see.

    Tabular features and the channels of series are standardized by the training split's mean and deviation, inside the
    model, so that whoever runs it feeds raw values. Text comes as token ids, int32.
    """
    tensor = keras.Input(problem.input_shape, dtype="int32" if problem.vocabulary else "float32", name="input")
    if problem.feature_mean is None or problem.feature_std is None:
        return tensor, tensor
    normalization = keras.layers.Normalization(
        mean=problem.feature_mean.tolist(),
        variance=(problem.feature_std.astype("float64") ** 2).tolist(),
        dtype="float32",  # Raw values overflow float16, and lose their digits in bfloat16.
        name="standardize",
    )
    return tensor, normalization(tensor)


def head(x: Any, problem: Problem) -> Any:
    """Returns logits [batch, classes], or values [batch, outputs] in the target's own unit.

    Always float32, whatever the precision policy: the loss and its softmax need it.
    """
    if problem.target_mean is None or problem.target_std is None:
        return keras.layers.Dense(problem.outputs, dtype="float32", name="logits")(x)
    x = keras.layers.Dense(problem.outputs, dtype="float32", name="standardized_output")(x)
    scale, offset = problem.target_std.tolist(), problem.target_mean.tolist()
    if problem.outputs == 1:
        scale, offset = scale[0], offset[0]
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="output")(x)


def filters(options: Options) -> list[int]:
    """Returns the filters of each of `depth` stages: `width`, doubled at every stage.

    Raises:
        UserError: more than 8,192 filters; said before any layer is made, while there is memory.
    """
    counts = [options.width * 2**stage for stage in range(options.depth)]
    if counts[-1] > MAX_FILTERS:
        raise UserError(
            f"--width={options.width} and --depth={options.depth} mean layers of more than {MAX_FILTERS:,} filters",
            "each stage doubles the filters: use a smaller --depth or --width",
        )
    return counts


def penalty(options: Options) -> Any:
    """Returns the L2 regularizer of `--l2`, or None."""
    return keras.regularizers.L2(options.l2) if options.l2 else None


def dropout(x: Any, options: Options, name: str) -> Any:
    """Applies dropout when there is any; a rate of 0 adds no layer."""
    return keras.layers.Dropout(options.dropout, name=name)(x) if options.dropout else x
