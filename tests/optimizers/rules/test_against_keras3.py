"""Adafactor, LAMB and Muon step by step beside Keras 3's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, START, assert_same_path, ours

from tfday7.core.frameworks import keras3, tf


def keras3_steps(optimizer: Any) -> list[np.ndarray]:
    names = ("hidden", "hidden_bias", "last", "last_bias")
    variables = [keras3.Variable(value, name=name) for value, name in zip(START, names, strict=True)]
    for gradients in GRADIENTS:
        optimizer.apply(list(map(tf.constant, gradients)), variables)
    return [np.asarray(variable) for variable in variables]


def test_lamb_moves_matrices_as_keras_3_does() -> None:
    """Vectors it adapts too; ours take Adam's step, as in the authors' code."""
    mine = ours(optimizer="lamb", learning_rate=0.01)
    other = keras3_steps(keras3.optimizers.Lamb(0.01, epsilon=1e-6))
    assert_same_path([mine[0], other[1], mine[2], other[3]], other)


def test_muon_is_keras_3s_with_adamw_for_the_last_layer_and_vectors() -> None:
    theirs = keras3.optimizers.Muon(0.01, weight_decay=None, adam_weight_decay=None, exclude_layers=["last"])
    assert_same_path(ours(optimizer="muon", learning_rate=0.01), keras3_steps(theirs), tolerance=1e-4)


def test_muon_decays_matrices_as_keras_3_does() -> None:
    theirs = keras3.optimizers.Muon(0.01, weight_decay=0.1, adam_weight_decay=0.1, exclude_layers=["last"])
    theirs.exclude_from_weight_decay(var_names=["bias"])
    mine = ours(optimizer="muon", learning_rate=0.01, weight_decay=0.1, momentum=0.95)
    assert_same_path(mine, keras3_steps(theirs), tolerance=1e-4)


def test_muon_without_nesterov_is_keras_3s() -> None:
    theirs = keras3.optimizers.Muon(
        0.01, weight_decay=None, adam_weight_decay=None, exclude_layers=["last"], nesterov=False, momentum=0.8
    )
    mine = ours(optimizer="muon", learning_rate=0.01, nesterov=False, momentum=0.8)
    assert_same_path(mine, keras3_steps(theirs), tolerance=1e-4)


@pytest.mark.parametrize("rate", [0.01, 1.0])  # The second is above 1 / sqrt(step), which then decides.
def test_adafactor_is_keras_3s(rate: float) -> None:
    mine = ours(optimizer="adafactor", learning_rate=rate)
    assert_same_path(mine, keras3_steps(keras3.optimizers.Adafactor(rate)), tolerance=1e-4)
