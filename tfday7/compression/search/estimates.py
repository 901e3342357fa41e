"""What a candidate will weigh and how long it will run, before it is trained: arithmetic, mended by what was measured.

Packed bytes follow from the entropy of the weights: those of a layer as int8 numbers have about 6.7 bits of it, zeros
need only to be told from the rest (the binary entropy of their share), and clusters take the logarithm of their number.
Time follows multiply-accumulates with a part that does not shrink. Both are then multiplied by the median of measured
over estimated of the candidates that have been measured: of the same kind of numbers where there are any, and of these
the three whose number of parameters is nearest. What does not shrink weighs the more, the smaller a model is: of a
ResNet-8 with a quarter of its channels a dynamic file was 1.6 times as large as the large ones had let expect.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import median

from tfday7.compression.search.space import Point

# Bits of a weight that neither pruning nor clustering touched, as gzip packs it.
BITS = {"float32": 29.5, "float16": 15.0, "dynamic": 6.9, "int8": 6.7}
STORED = {"float32": 32.0, "float16": 16.0, "dynamic": 8.0, "int8": 8.0}
FIXED_BYTES = 4_000  # Of a packed file that is no weight: operators, names, metadata.
NEAREST = 3  # Measured candidates that correct an estimate.
FIXED_TIME = 0.05  # Of the float32 file's time, which does not shrink with the arithmetic.


@dataclasses.dataclass(frozen=True)
class Structure:
    """The size of a model after shrinking alone: parameters and MACs (None where unknown), before and after."""

    parameters: tuple[int, int]
    macs: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What is expected of a candidate: bytes, packed bytes, time relative to the float32 file, multiply-accumulates."""

    size_bytes: float
    gzip_bytes: float
    latency_ratio: float
    macs: int | None


@dataclasses.dataclass(frozen=True)
class Measured:
    """A point whose file is there: bytes, packed bytes, and the time ratio, None where it was not timed."""

    point: Point
    structure: Structure
    size_bytes: int
    gzip_bytes: int
    latency_ratio: float | None


def bits(point: Point) -> float:
    """Returns the bits that a weight takes in the packed file."""
    whole = BITS[point.file_kind]
    if point.clusters:
        # Runs of the same value are packed a little better than their number says; a cluster of zeros more so.
        return min(whole, math.log2(point.clusters) * 1.1)
    if point.sparsity:
        zeros = point.sparsity
        told_apart = -zeros * math.log2(zeros) - (1 - zeros) * math.log2(1 - zeros)
        # gzip falls short of the entropy, the more zeros the more: measured on normal weights of 8 bits.
        return min(whole, (told_apart + (1 - zeros) * whole) * (1 + 0.25 * zeros))
    return whole


class Estimates:
    """What is expected of points, by what is known of others.

    Args:
        measured: what is known; the more, the better.
    """

    def __init__(self, measured: Sequence[Measured] = ()) -> None:
        self._measured: dict[str | None, list[tuple[int, tuple[float | None, ...]]]] = {}
        for one in measured:
            found = one.size_bytes, one.gzip_bytes, one.latency_ratio
            expected = _arithmetic(one.point, one.structure)
            missed = tuple(None if a is None else a / b for a, b in zip(found, expected, strict=True))
            for kind in (one.point.file_kind, None):
                self._measured.setdefault(kind, []).append((max(1, one.structure.parameters[1]), missed))
        self._corrections: dict[tuple[str, int], list[float]] = {}

    def of(self, point: Point, structure: Structure) -> Estimate:
        """Returns what is expected of a point.

        Args:
            point: what is to be done.
            structure: of the model after its shrinking.
        """
        correction = self._correction(point.file_kind, max(1, structure.parameters[1]))
        size, packed, time = (a * b for a, b in zip(_arithmetic(point, structure), correction, strict=True))
        return Estimate(size, packed, time, structure.macs[1] if structure.macs else None)

    def _correction(self, kind: str, parameters: int) -> list[float]:
        """Returns measured over estimated of what is most alike: of size, packed size and time."""
        if (kind, parameters) not in self._corrections:
            alike = self._measured.get(kind) or self._measured.get(None, [])
            nearest = sorted(alike, key=lambda one: abs(math.log(one[0] / parameters)))[:NEAREST]
            known = ([each for _, missed in nearest if (each := missed[at]) is not None] for at in range(3))
            self._corrections[kind, parameters] = [median(each) if each else 1.0 for each in known]
        return self._corrections[kind, parameters]


def _arithmetic(point: Point, structure: Structure) -> tuple[float, float, float]:
    parameters = structure.parameters[1]
    macs = structure.macs[1] / structure.macs[0] if structure.macs and structure.macs[0] else 1.0
    return (
        FIXED_BYTES * 2 + parameters * STORED[point.file_kind] / 8.0,
        FIXED_BYTES + parameters * bits(point) / 8.0,
        FIXED_TIME + (1 - FIXED_TIME) * macs,
    )
