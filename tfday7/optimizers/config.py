"""Which optimizer, which learning rate, and how the rate changes over the run."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tfday7.core.settings import Settings, setting

FIND = "find"  # Of the learning rate: settled by a range test.


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Settings):
    """Names the optimizer of a run and its settings."""

    optimizer: str = setting(
        "adam",
        "Optimizer: sgd, adam, adamw, nadam, rmsprop, adagrad, adadelta, lion, ...; auto: chosen for the data and the "
        "model, with every setting of it that is at its default.",
    )
    learning_rate: float | Literal["auto", "find"] | None = setting(
        None,
        "Peak learning rate; auto: chosen for the data and the model; find: by a range test of at most 140 steps; "
        "default: the optimizer's own (adam 0.001, ...).",
        above=0,
        words=("auto", FIND),
    )
    schedule: str = setting(
        "constant",
        "How the rate goes on after the warm-up: it stays, or falls to 0 at the end of the run.",
        choices=("constant", "cosine", "linear"),
    )
    warmup_steps: int = setting(0, "Optimizer steps over which the rate rises from 0 to its peak.", minimum=0)
    weight_decay: float | None = setting(
        None,
        "Decoupled weight decay, but not of biases and norms; default: the optimizer's own (adamw 0.004, others 0).",
        minimum=0,
    )
    global_clipnorm: float | None = setting(
        None, "Scale all gradients together so that their common norm is at most this; default: no clipping.", above=0
    )
