"""Gated recurrent units for text and series (Cho et al., 2014, arXiv:1406.1078).

The steps are unrolled: TFLite has no fused operation for them, and converting a loop to int8 kills the converter. Every
step is in the file, so series are limited to 256 steps; an LSTM takes longer ones.
"""

from __future__ import annotations

import functools
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import recurrent
from tfday7.models.architecture import ARCHITECTURES, Options, architecture

MAX_STEPS = 256


@ARCHITECTURES.register("gru")
@architecture(kinds=("text", "series"), width=64, depth=1)
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` GRU layers of `width` units; see `recurrent.build`. Raises UserError above 256 steps."""
    steps = problem.input_shape[0]
    if steps > MAX_STEPS:
        raise UserError(f"--model=gru takes at most {MAX_STEPS} steps; the examples have {steps}", "use --model=lstm")
    return recurrent.build(problem, options, functools.partial(keras.layers.GRU, unroll=True), "gru")
