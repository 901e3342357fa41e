"""Whether inputs are pixels from 0 to 1, for what would destroy all others without a word."""

from __future__ import annotations

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.lazy import Inputs, chunks, take

EXAMPLES = 128  # Looked at, evenly spaced: inputs on another scale are so in nearly every example.
SLACK = 0.5  # Resizing overshoots at edges; another scale is further away.


def check(inputs: Inputs, what: str, without: str) -> None:
    """Raises UserError when inputs reach beyond 0 to 1.

    Args:
        inputs: of the training split; of lazy ones a few are read.
        what: takes pixels from 0 to 1, for the message.
        without: what of it can be left out, for the hint.
    """
    chosen = np.unique(np.linspace(0, len(inputs) - 1, EXAMPLES).astype(np.int64))
    ranges = [(float(part.min()), float(part.max())) for part in chunks(take(inputs, chosen))]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low < -SLACK or high > 1.0 + SLACK:
        raise UserError(
            f"{what} takes pixels from 0 to 1, but the training inputs reach from {low:.4g} to {high:.4g}",
            f"divide pixels from 0 to 255 by 255, or save them as uint8, which is done for you; or leave {without} out",
        )
