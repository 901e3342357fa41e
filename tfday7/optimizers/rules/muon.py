"""Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon): momentum, made orthogonal, for hidden matrices.

Every direction of a matrix moves equally far. Embeddings, the last layer and vectors take AdamW's step at the same
rate, which fits because an orthogonal update is scaled to the size of AdamW's: 0.2 sqrt(max(rows, columns)), Liu et
al., 2025 ("Muon is scalable for LLM training"), arXiv:2502.16982, equation 4, as in Keras 3. The original scales by
sqrt(max(1, rows / columns)) and wants rates twenty times as large.
"""

from __future__ import annotations

import math
from typing import Any

from tfday7.core.frameworks import tf
from tfday7.optimizers.rules import adam
from tfday7.optimizers.rules.step import Settings, Slots, Step, descend

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
RMS = 0.2

rest = adam  # The rule of every variable that is no hidden matrix.


def slots(variable: Any) -> dict[str, Any]:
    """Returns the momentum."""
    return {"momentum": None}


def update(gradient: Any, variable: Any, slots: Slots, step: Step, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """Moves a hidden matrix, whose shape as a matrix is `step.matrix`, by its orthogonal momentum."""
    shape: Any = step.matrix
    momentum = settings["momentum"] * slots["momentum"] + gradient
    ahead = gradient + settings["momentum"] * momentum if settings["nesterov"] else momentum
    direction = tf.reshape(orthogonal(tf.reshape(ahead, step.matrix)), variable.shape)
    scale = RMS * math.sqrt(max(shape))
    return descend(variable, scale * direction, step), {"momentum": momentum}


def orthogonal(matrix: Any) -> Any:
    """Returns about U V' of the singular value decomposition U S V', by a quintic Newton-Schulz iteration.

    Args:
        matrix: [rows, columns]. The singular values of the result lie between about 0.7 and 1.2, not at 1; it trains as
            well and is done in five steps.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix
    x = x / (tf.norm(x) + 1e-7)
    for _ in range(ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.transpose(x) if tall else x
