"""What a student learns from its teachers, and how much; loads no TensorFlow."""

from __future__ import annotations

import dataclasses

# The best of 1, 2, 4 and 8 by 0.3, 0.5, 0.7, 0.9 and 1 on digits and Fashion-MNIST: see `Distillation`.
TEMPERATURE = 4.0
ALPHA = 0.9
FEATURE_WEIGHTS = {"none": 0.0, "hint": 0.1, "attention": 1.0}


@dataclasses.dataclass(frozen=True)
class Distillation:
    """How to learn from teachers.

    Attributes:
        temperature: divides the logits of both before their softmax or sigmoid; values have none.
        alpha: share of the teachers' answers in the loss; the true labels have the rest.
        features: "none", "hint" or "attention": which inner values are learned as well.
        layers: pairs (student's layer, teacher's layer) of them; empty to choose by shape.
        feature_weight: of their loss; None for the default of the kind.
    """

    temperature: float = TEMPERATURE
    alpha: float = ALPHA
    features: str = "none"
    layers: tuple[tuple[str, str], ...] = ()
    feature_weight: float | None = None

    @property
    def weight(self) -> float:
        """The weight of the features' loss."""
        return FEATURE_WEIGHTS[self.features] if self.feature_weight is None else self.feature_weight
