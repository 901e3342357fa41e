"""Which optimizer, which learning rate, and how the rate changes over the run."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tfday7.core.settings import Settings, setting
from tfday7.optimizers.table import OPTIMIZERS

FIND = "find"  # Of the learning rate: settled by a range test.


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Settings):
    """Names the optimizer of a run and its settings; a setting that is None has the optimizer's own default."""

    optimizer: str = setting(
        "adam",
        f"One of {', '.join(sorted(OPTIMIZERS))} (docs/optimizers.md says which is when); auto: chosen for the data "
        "and the model, with every setting of it that is at its default.",
    )
    learning_rate: float | Literal["auto", "find"] | None = setting(
        None,
        "Peak learning rate; auto: chosen for the data and the model; find: by a range test of at most 140 steps; "
        "default: the optimizer's own (adam 0.001, sgd 0.01, ...).",
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
    clipnorm: float | None = setting(
        None, "Scale the gradient of each variable so that its norm is at most this; default: no clipping.", above=0
    )
    clipvalue: float | None = setting(
        None, "Cut each gradient value to at most this, either side of 0; default: no clipping.", above=0
    )
    momentum: float | None = setting(
        None, "Share of the last step in the next; default: the optimizer's own (sgd and lars 0.9, muon 0.95).",
        minimum=0, below=1,
    )  # fmt: skip
    nesterov: bool | None = setting(
        None, "Look at the gradient where the momentum leads (sgd, muon); default: sgd false, muon true."
    )
    beta_1: float | None = setting(
        None, "Memory of the mean gradient in the Adam family; default: the optimizer's own (adam 0.9).",
        minimum=0, below=1,
    )  # fmt: skip
    beta_2: float | None = setting(
        None, "Memory of the squared gradient in the Adam family; default: the optimizer's own (adam 0.999).",
        minimum=0, below=1,
    )  # fmt: skip
    epsilon: float | None = setting(
        None, "Keeps divisors from 0; larger is calmer; default: the optimizer's own (adam 1e-07).", above=0
    )
    rho: float | None = setting(
        None, "Memory of the squared gradient in rmsprop (default 0.9) and adadelta (default 0.95).",
        minimum=0, below=1,
    )  # fmt: skip
    use_ema: bool = setting(
        False, "Keep a moving average of the weights and validate, save and export that; training goes on without it."
    )
    ema_momentum: float | None = setting(
        None, "With --use_ema: share of the average that stays in a step; default 0.99.", minimum=0, below=1
    )
    lookahead_steps: int | None = setting(
        None, "Every so many steps go back half of the way (Lookahead), with any optimizer; default: lookahead 5.",
        minimum=2,
    )  # fmt: skip
