"""Lookahead beside TensorFlow Addons', and beside its definition around an optimizer that Addons cannot wrap."""

from __future__ import annotations

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, START, STEPS, assert_same_path, ours, small_model, theirs

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import OptimizerConfig, catalog, tfa
from tfday7.optimizers.averages import averages


@pytest.mark.skipif(not tfa.is_installed(), reason="tensorflow-addons has no wheels for this Python")
def test_twelve_steps_are_those_of_addons() -> None:
    inner = keras.optimizers.legacy.SGD(0.01, momentum=0.9)
    other = theirs(tfa.optimizers().Lookahead(inner, sync_period=5, slow_step_size=0.5))
    assert_same_path(ours(optimizer="sgd", learning_rate=0.01, lookahead_steps=5), other)


@pytest.mark.skipif(not tfa.is_installed(), reason="tensorflow-addons has no wheels for this Python")
def test_the_name_lookahead_is_adam_that_looks_five_steps_ahead() -> None:
    other = theirs(tfa.optimizers().Lookahead(keras.optimizers.legacy.Adam(0.01), sync_period=5, slow_step_size=0.5))
    assert_same_path(ours(optimizer="lookahead", learning_rate=0.01), other, tolerance=1e-4)


@pytest.mark.parametrize("name", ["lamb", "muon", "rmsprop"])
def test_any_optimizer_can_look_ahead(name: str) -> None:
    """Two steps without it, then half of the way back: the same as the first two with `lookahead_steps` 2."""
    fast, slow = (small_model() for _ in range(2))
    plain = catalog.build(OptimizerConfig(optimizer=name, learning_rate=0.01), STEPS, fast)
    ahead = catalog.build(OptimizerConfig(optimizer=name, learning_rate=0.01, lookahead_steps=2), STEPS, slow)
    for gradients in GRADIENTS[:2]:
        for optimizer, model in ((plain, fast), (ahead, slow)):
            optimizer.apply_gradients(zip(map(tf.constant, gradients), model.trainable_variables, strict=True))
    for start, far, near in zip(START, fast.get_weights(), slow.get_weights(), strict=True):
        np.testing.assert_allclose(near, (start + far) / 2, rtol=1e-6)
    averaged = averages(ahead, slow.trainable_variables)
    assert averaged is not None
    for kept, near in zip(averaged, slow.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, near)
