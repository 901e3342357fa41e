"""What a student learns from its teachers, and how much; loads no TensorFlow."""

from __future__ import annotations

import dataclasses

# Points of validation accuracy on Fashion-MNIST above training from the labels alone, of 16,000 to 24,000 images:
#   temperature, alpha                                    1, 0.5   2, 0.5   4, 0.5   2, 0.9   4, 0.9
#   half of ResNet-8, 3 epochs (0.905 from labels)         -0.3     -0.1     -0.3              -0.4
#   half of a cnn, 3 epochs at a low rate (0.863)          +0.1     -0.4     -0.8     -0.6     -1.4
#   a new cnn from ResNet-8, 6 epochs, low rate (0.869)     0.0     -0.4                       -1.7
#   the same, 10 epochs at three times that rate (0.892)   +0.5     +0.7     +0.3     +0.2     -0.1
# One seed each, two in the third row. A student without the time to fit the labels has none for soft answers; one
# that has it gains. Here the first pair lost 0.35 points at most.
TEMPERATURE = 1.0
ALPHA = 0.5
# Starting values by the size of the losses, which are 1 or less; not measured.
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
