"""How numbers are quantized, where a caller decides: what calibrates, what stays in float, whether zeros are stored."""

from __future__ import annotations

import dataclasses

from tfday7.core.errors import UserError

MOST_EXAMPLES = 500


@dataclasses.dataclass(frozen=True)
class QuantizationOptions:
    """See the module.

    Attributes:
        calibration_examples: training examples that show which numbers occur, at most 500.
        calibration_seed: of their choice.
        float_layers: names of Keras layers that stay in float32 in an otherwise int8 `.tflite` file.
        sparse: leave zeros out of a `.tflite` file where that makes it smaller, as of a pruned model.
    """

    calibration_examples: int = MOST_EXAMPLES
    calibration_seed: int = 0
    float_layers: tuple[str, ...] = ()
    sparse: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.calibration_examples <= MOST_EXAMPLES:
            given = f"calibration_examples={self.calibration_examples}"
            raise UserError(f"{given}: expected 1 to {MOST_EXAMPLES} examples", "100 to 500 show what numbers occur")
