"""Long short-term memory for text and series (Hochreiter & Schmidhuber, 1997), one fused operation in TFLite."""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import recurrent
from tfday7.models.architecture import ARCHITECTURES, Options, architecture


@ARCHITECTURES.register("lstm")
@architecture(kinds=("text", "series"), width=64, depth=1)
def build(problem: Problem, options: Options) -> Any:
    """Returns `depth` LSTM layers of `width` units; see `recurrent.build`."""
    return recurrent.build(problem, options, keras.layers.LSTM, "lstm")
