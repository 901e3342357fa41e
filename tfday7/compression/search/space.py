"""What a search can try: a point says how much of each technique, and becomes a recipe for a number of epochs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from tfday7.compression import recipe as recipes
from tfday7.compression.recipe import Recipe
from tfday7.exporting.format import FORMATS

RATIOS = (0.0, 0.25, 0.375, 0.5, 0.625, 0.75)
SPARSITIES = (0.0, 0.5, 0.7, 0.85)
CLUSTERS = (0, 32, 16, 8)
# Epochs of a first step over those of a later one. A ResNet-8 on Fashion-MNIST, half of its channels gone, six epochs:
# 0.918 on validation; 70% zeros in it and one epoch more 0.909, two 0.914 (50%: 0.917 and 0.915).
LATER = 3
KINDS = ("int8", "qat", "dynamic", "float16", "float32")
ROUNDED = ("int8", "qat", "dynamic")  # Weights of 8 bits: few different ones, or zeros, make the packed file smaller.


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    """A combination of techniques.

    Attributes:
        ratio: share of the channels that goes; 0 for none.
        uneven: whether groups that the model can spare lose more than others, at the same MACs in all.
        sparsity: share of the weights that becomes zero.
        clusters: number of values that a layer's weights share; 0 for as many as there are.
        kind: numbers of the file; "qat" is int8 with fine-tuning in rounded numbers.
        distil: whether fine-tuning learns from the model as it was too.
    """

    ratio: float = 0.0
    uneven: bool = False
    sparsity: float = 0.0
    clusters: int = 0
    kind: str = "int8"
    distil: bool = True

    @property
    def trains(self) -> bool:
        """Whether any of its steps changes weights, so that fine-tuning has something to recover."""
        return bool(self.ratio or self.sparsity or self.clusters or self.kind == "qat")

    @property
    def file_kind(self) -> str:
        """Numbers of the file: rounded ones are as large and as fast however they came about."""
        return "int8" if self.kind == "qat" else self.kind

    @property
    def name(self) -> str:
        """A name that no other point has, for example "s50u_p70_qat"."""
        parts = []
        if self.ratio:
            parts.append(f"s{_percent(self.ratio)}{'u' if self.uneven else ''}")
        if self.sparsity:
            parts.append(f"p{_percent(self.sparsity)}")
        if self.clusters:
            parts.append(f"c{self.clusters}")
        parts.append(self.kind)
        if self.trains and not self.distil:
            parts.append("labels")
        return "_".join(parts)

    def features(self) -> list[float]:
        """Returns numbers between 0 and 1 from which a surrogate learns; see `proposing`."""
        few = 0.0 if not self.clusters else 1.0 / self.clusters * min(CLUSTERS[1:])
        return [
            self.ratio,
            float(self.uneven and self.ratio > 0),
            self.sparsity,
            few,
            *(float(self.kind == kind) for kind in KINDS[:-1]),
            float(self.distil and self.trains),
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns the point as plain JSON values."""
        return dataclasses.asdict(self)


def _percent(share: float) -> str:
    return f"{share * 100:g}".replace(".", "-")


def points() -> list[Point]:
    """Returns the whole grid, in a fixed order, each point once.

    Clusters and zeros are alternatives for packed size; both at once are left to recipes written by hand, as are
    zeros in a file of floats, which make it neither smaller on disk than one of 8 bits nor faster.
    """
    found = []
    for ratio, sparsity, clusters, kind, uneven, distil in itertools.product(
        RATIOS, SPARSITIES, CLUSTERS, KINDS, (False, True), (True, False)
    ):
        point = Point(ratio, uneven, sparsity, clusters, kind, distil)
        if (sparsity and clusters) or ((sparsity or clusters) and kind not in ROUNDED):
            continue
        if (uneven and not ratio) or (not distil and not point.trains):
            continue
        found.append(point)
    return found


def kinds(format: str) -> tuple[str, ...]:
    """Returns the kinds of points that a format has; the ranges that "qat" learns are kept by `.tflite` files alone."""
    known = FORMATS.get(format).kinds
    return tuple(kind for kind in KINDS if kind in known or (kind == "qat" and format == "tflite"))


def file_kinds(format: str) -> tuple[str, ...]:
    """Returns the kinds of files that points become in a format."""
    return tuple(kind for kind in kinds(format) if kind != "qat")


def neighbours(point: Point) -> list[Point]:
    """Returns points one step away, halves between the grid's ratios and sparsities included."""
    found = []
    for step in (-0.0625, 0.0625, -0.125, 0.125):
        found.append(dataclasses.replace(point, ratio=min(0.875, max(0.0, point.ratio + step))))
    for step in (-0.1, 0.1):
        sparsity = round(min(0.95, max(0.0, point.sparsity + step)), 2)
        found.append(dataclasses.replace(point, sparsity=sparsity, clusters=0))
    for clusters in CLUSTERS:
        found.append(dataclasses.replace(point, clusters=clusters, sparsity=0.0))
    found += [dataclasses.replace(point, kind=kind) for kind in ROUNDED]
    found += [dataclasses.replace(point, uneven=not point.uneven), dataclasses.replace(point, distil=not point.distil)]
    unlike = {one if one.ratio else dataclasses.replace(one, uneven=False) for one in found} - {point}
    return sorted(one for one in unlike if _carried_out(one))


def _carried_out(point: Point) -> bool:
    return point.trains and (point.kind in ROUNDED or not (point.sparsity or point.clusters))


def recipe(point: Point, epochs: int, counts: Mapping[str, int] | None = None, sparse: bool = False) -> Recipe:
    """Returns the recipe of a point.

    Args:
        point: what to do.
        epochs: of fine-tuning behind the first step, which breaks most; later ones get fewer, see `shared_out`.
        counts: how many channels of each group stay, where `point.uneven`; see `groups.allocate`.
        sparse: whether zeros are left out of the file, which makes it smaller, but packed larger.
    """
    distil = {} if point.distil else {"distil": "none"}
    steps: list[dict[str, Any]] = []
    if point.ratio:
        amount: dict[str, Any] = {"ratio": point.ratio}
        if point.uneven and counts is not None:
            amount = {"counts": ", ".join(f"{name}={count}" for name, count in counts.items())}
        steps.append({"technique": "shrink", **amount, **distil})
    if point.sparsity:
        steps.append({"technique": "prune", "sparsity": point.sparsity, **distil})
    if point.clusters:
        steps.append({"technique": "cluster", "clusters": point.clusters, **distil})
    if point.kind == "qat":
        steps.append({"technique": "qat", **distil})
    for step, share in zip(steps, shared_out(epochs, len(steps)), strict=True):
        step["epochs"] = share
    if point.file_kind != "float32":
        stored = {"sparse": False} if point.sparsity and not sparse else {}
        steps.append({"technique": "quantize", "kind": point.file_kind, **stored})
    if not steps:
        raise ValueError("a point of no technique is the given model itself")
    name = f"{point.name}_{epochs}" if point.trains else point.name
    return recipes.parse({"name": name.replace("float32", "f32"), "steps": steps})


def shared_out(epochs: int, steps: int) -> list[int]:
    """Returns the epochs of each training step: all for the first one, and for each later one a third, at least one.

    So a step's epochs do not hang on what follows it, and recipes that begin alike share what they begin with.
    """
    return [epochs, *[max(1, epochs // LATER)] * (steps - 1)] if steps else []
