"""What one device holds in training, part by part: arithmetic, so that it can be checked by hand.

Weights, gradients and slots are float32 under every precision; the mixed ones add a copy of the layers' matrices in
16 bit and halve the activations. With accumulation the sum of gradients lies beside those of the micro-batch at hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tfday7.distribution.advising import weights as shapes
from tfday7.distribution.advising.transformer import Transformer
from tfday7.distribution.advising.weights import Weight

HALF_BYTES = 2
USABLE = 0.9  # The rest is for what comes and goes in a step, the runtime and gaps between tensors: a rule of thumb.
PARTS = ("weights", "casts", "gradients", "accumulated", "optimizer", "activations")


@dataclasses.dataclass(frozen=True)
class Activations:
    """What a forward pass keeps for the way back.

    Attributes:
        example_bytes: for one example.
        cast_bytes: whatever the batch: copies of matrices in 16 bit; None for 2 bytes a weight.
        origin: "formula", "kept" (measured: what the gradient of the model reads) or "layer_outputs" (measured: the
            sum of the outputs of all layers).
    """

    example_bytes: float
    cast_bytes: float | None
    origin: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a model lies on the devices of one replica.

    Attributes:
        weights: what each of them holds.
        example_bytes: what they all-reduce for one example.
        step_bytes: the same for each micro-batch, whatever its size. An all-gather counts as half of an all-reduce.
    """

    weights: tuple[Weight, ...]
    example_bytes: float = 0.0
    step_bytes: float = 0.0


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a model cannot be divided: the id of a sentence, `left_out.<id>`, and what fills it."""

    id: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Workload:
    """The model that is trained.

    Attributes:
        weights: its variables.
        activations: None where nothing is known of them.
        transformer: its sizes; None for another kind, or where they are not known.
        example_flops: operations of one example, forward and backward; None where they are not known.
        divide: gives the layout on so many devices, or why there is none.
        loops: whether layers loop, which do not tell before they run what they keep.
    """

    weights: tuple[Weight, ...]
    activations: Activations | None
    transformer: Transformer | None
    example_flops: float | None
    divide: Callable[[int], Layout | Refusal]
    loops: bool = False

    def on(self, parts: int) -> Layout | Refusal:
        """Returns how the model lies on so many devices."""
        return Layout(self.weights) if parts == 1 else self.divide(parts)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device; activations are None where they are not known."""

    weights: float
    casts: float
    gradients: float
    accumulated: float
    optimizer: float
    activations: float | None

    @property
    def total(self) -> float:
        """All parts that are known, together."""
        return sum(getattr(self, part) or 0 for part in PARTS)

    @property
    def largest(self) -> str:
        """The name of the largest part."""
        return max(PARTS, key=lambda part: getattr(self, part) or 0)


def of(
    workload: Workload, layout: Layout, optimizer: str, half: bool, examples: int, parts: int, accumulates: bool
) -> Memory:
    """Returns what one device holds.

    Args:
        workload: the model.
        layout: how it lies on the devices of a replica.
        optimizer: a name in `optimizers.table`.
        half: whether the layers compute in 16 bit.
        examples: the micro-batch of one replica.
        parts: devices that each replica is split over.
        accumulates: whether a step has several micro-batches.
    """
    own = layout.weights
    gradients = shapes.gradient_bytes(own)
    return Memory(
        weights=shapes.weight_bytes(own),
        casts=_casts(workload, own, half),
        gradients=gradients,
        accumulated=gradients if accumulates else 0,
        optimizer=shapes.optimizer_bytes(own, optimizer),
        activations=_activations(workload, examples, parts),
    )


def _casts(workload: Workload, own: Sequence[Weight], half: bool) -> float:
    measured = workload.activations.cast_bytes if workload.activations else None
    if measured is not None:
        return measured * shapes.numbers(own) / shapes.numbers(workload.weights)
    matrices = [each for each in own if each.hidden] or own  # A table of words is looked up first, then cast.
    return HALF_BYTES * shapes.numbers(matrices) if half else 0


def _activations(workload: Workload, examples: int, parts: int) -> float | None:
    if workload.activations is None:
        return None
    share = workload.transformer.share_kept(parts) if workload.transformer and parts > 1 else 1.0
    return workload.activations.example_bytes * share * examples
