"""LARS beside a reading of its paper in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, START, assert_same_path, ours


def paper(rate: float, momentum: float, decay: float) -> list[np.ndarray]:
    """Algorithm 1 of arXiv:1708.03888 with eta 0.001; vectors take momentum SGD's step."""
    weights = [each.astype(np.float64) for each in START]
    velocities = [np.zeros(each.shape) for each in START]
    for gradients in GRADIENTS:
        for index, gradient in enumerate(gradients):
            w, local, lam = weights[index], 1.0, 0.0
            if w.ndim > 1:
                lam = decay
                local = 0.001 * np.linalg.norm(w) / (np.linalg.norm(gradient) + lam * np.linalg.norm(w))
            velocities[index] = momentum * velocities[index] + rate * local * (gradient + lam * w)
            weights[index] = w - velocities[index]
    return weights


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.0), (0.9, 0.1), (0.5, 0.01), (0.0, 0.0)])
def test_twelve_steps_are_the_papers(momentum: float, decay: float) -> None:
    mine = ours(optimizer="lars", learning_rate=0.5, momentum=momentum, weight_decay=decay)
    assert_same_path(mine, paper(0.5, momentum, decay))
