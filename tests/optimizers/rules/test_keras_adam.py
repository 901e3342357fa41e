"""Adam's rule for a mesh, step by step beside tf_keras's own, with gradients small enough for epsilon to count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, START

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers.rule_optimizer import RuleOptimizer

SETTINGS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-3}


def steps(optimizer: Any, scale: float) -> list[np.ndarray]:
    variables = [tf.Variable(value) for value in START]
    optimizer.build(variables)
    for gradients in GRADIENTS:
        scaled = [tf.constant(each * scale, tf.float32) for each in gradients]
        optimizer.apply_gradients(zip(scaled, variables, strict=True))
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_it_is_tf_keras_s_adam(scale: float, decay: float | None) -> None:
    mine = steps(RuleOptimizer("keras_adam", 0.01, SETTINGS, weight_decay=decay), scale)
    kind = keras.optimizers.Adam if decay is None else keras.optimizers.AdamW
    given = {} if decay is None else {"weight_decay": decay}
    theirs = steps(kind(0.01, **SETTINGS, **given, jit_compile=False), scale)
    # tf_keras takes 1 - beta^t in float32, which is wrong by 5e-5 at step 1 with beta 0.999.
    assert max(np.abs(a - b).max() for a, b in zip(mine, theirs, strict=True)) < 2e-6


def test_the_papers_own_epsilon_is_another_one() -> None:
    mine = steps(RuleOptimizer("keras_adam", 0.01, SETTINGS), 1e-3)
    paper = steps(RuleOptimizer("adam", 0.01, SETTINGS), 1e-3)
    assert max(np.abs(a - b).max() for a, b in zip(mine, paper, strict=True)) > 1e-3
