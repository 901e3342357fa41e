"""The sizes of a transformer, its weights, and what it keeps for the way back.

Activations: Korthikanti et al., 2022, arXiv:2205.05198, table 2: a layer keeps s b h (34 + 5 a s / h) bytes in 16 bit,
or s b h (10 + 24 / t + 5 a s / (h t)) split over t devices, for b examples of s words, hidden size h and a heads.
"""

from __future__ import annotations

import dataclasses
import math

from tfday7.core.errors import UserError
from tfday7.distribution.advising.weights import Weight

PER_LAYER = 12  # Weights of a layer in h^2: 4 of attention, 8 of a feed-forward part of four times the width.
WIDTH_PER_LAYER = (
    96  # Hidden size over layers, between 64 and 128: GPT-3's of 125M and 175B, arXiv:2005.14165, table 2.1.
)
HEAD_UNITS, WIDE_HEAD_UNITS, WIDE = 64, 128, 2048  # Units of a head, below this width and from there on: there too.
STEPS = (1024, 512, 128, 64)  # Widths are multiples of these, so that heads can be shared out.
DEEP = 4  # With fewer layers a width that is rounded up has too many weights.
TOLERANCE = 1.05  # People round the number of parameters.


@dataclasses.dataclass(frozen=True)
class Transformer:
    """The sizes of a transformer.

    Attributes:
        layers, hidden_size, attention_heads: L, h and a.
        sequence_length: words of one example, s.
    """

    layers: int
    hidden_size: int
    attention_heads: int
    sequence_length: int

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices in all layers, 12 L h^2."""
        return PER_LAYER * self.layers * self.hidden_size**2

    def activation_bytes(self, parts: int = 1, half: bool = True) -> float:
        """Returns the bytes that all layers keep for one example on one device.

        Args:
            parts: devices that a layer is split over.
            half: 16 bit; in float32 it is twice as much.
        """
        s, h, a, t = self.sequence_length, self.hidden_size, self.attention_heads, parts
        return self.layers * s * h * (10 + 24 / t + 5 * a * s / (h * t)) * (1 if half else 2)

    def share_kept(self, parts: int) -> float:
        """Returns the share of the activations that is left on each of so many devices."""
        return self.activation_bytes(parts) / self.activation_bytes()

    def exchanged_bytes(self, half: bool) -> int:
        """Returns the bytes that all-reduces of a step take for one example, before the ring's factor.

        Two forward and two backward in each layer, each of s h numbers (Shoeybi et al., 2019, arXiv:1909.08053,
        section 3).
        """
        return 4 * self.layers * self.sequence_length * self.hidden_size * (2 if half else 4)

    def splits_into(self, parts: int) -> bool:
        """Returns whether heads and width can be shared out evenly."""
        return self.attention_heads % parts == 0 and self.hidden_size % parts == 0

    def weights(self, parameters: int) -> tuple[Weight, ...]:
        """Returns the variables of such a model with so many parameters; what is no layer's matrix is one table.

        Queries, keys, values and the first half of the feed-forward part are divided by columns, what follows them by
        rows, the table by words (Shoeybi et al., 2019, section 3).
        """
        h, layers = self.hidden_size, self.layers
        left = max(0, parameters - self.layer_weights)
        rest = [Weight((left // h, h), divided=0)] * (left >= h) + [Weight((left % h,))] * (left % h > 0)
        matrices = (
            Weight((h, h), hidden=True, count=3 * layers, divided=1),
            Weight((h, h), hidden=True, count=layers, divided=0),
            Weight((h, 4 * h), hidden=True, count=layers, divided=1),
            Weight((4 * h, h), hidden=True, count=layers, divided=0),
        )
        return (*matrices, *rest)


def derive(
    parameters: int, sequence_length: int, layers: int | None, hidden_size: int | None, heads: int | None
) -> Transformer:
    """Returns the sizes, those that are not known from the number of parameters: 12 L h^2 of them, h about 96 L.

    Raises:
        UserError: the sizes make more parameters than there are, or the heads do not divide the width.
    """
    if hidden_size is None:
        deep = layers or max(1, round((parameters / (PER_LAYER * WIDTH_PER_LAYER**2)) ** (1 / 3)))
        hidden_size = _width(parameters, deep, heads, exact=layers is not None or deep < DEEP)
    if layers is None:
        layers = max(1, parameters // (PER_LAYER * hidden_size**2))
    found = Transformer(layers, hidden_size, heads or usual_heads(hidden_size), sequence_length)
    if hidden_size % found.attention_heads:
        raise UserError(
            f"--attention_heads={heads} does not divide --hidden_size={hidden_size}",
            f"for example --attention_heads={usual_heads(hidden_size)}",
        )
    if found.layer_weights > TOLERANCE * parameters:
        raise UserError(
            f"--layers={layers} and --hidden_size={hidden_size} make {found.layer_weights:,} weights (12 L h^2), more "
            f"than --parameters={parameters}",
            "correct one of the three, or leave the sizes out: they are derived from --parameters",
        )
    return found


def usual_heads(hidden_size: int) -> int:
    """Returns the number of heads, a divisor of the width: one for 64 units, in wide models for 128, at least one."""
    units = WIDE_HEAD_UNITS if hidden_size >= WIDE else HEAD_UNITS
    return next(count for count in range(max(1, hidden_size // units), 0, -1) if hidden_size % count == 0)


def _width(parameters: int, layers: int, heads: int | None, exact: bool) -> int:
    """Returns the nearest width in even steps; with `exact` the largest whose layers have no more weights."""
    widest = math.sqrt(parameters / (PER_LAYER * layers))
    step = heads or next((step for step in STEPS if widest >= 2 * step), 1)
    return max(step, int(widest / step + (0 if exact else 0.5)) * step)
