"""The record of what is split and how: of each weight, of each layer, and what travels in a step; loads no TensorFlow.

Bytes of communication are those of the tensor that each device hands to the collective operation, not what a ring or a
tree makes of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tfday7.core.units import format_bytes
from tfday7.distribution.mesh.axes import BATCH, MODEL, Axes

COLUMNS = "columns"  # The outputs are split, and stay so until a layer by rows adds them up.
GATHERED_COLUMNS = "columns, output gathered"
ROWS = "rows"
VOCABULARY = "vocabulary"
HEADS = "heads"
FILTERS = "filters, gathered for the product"  # DTensor's convolutions take whole filters only.
SPLIT_WAYS = (COLUMNS, GATHERED_COLUMNS, ROWS, VOCABULARY, HEADS, FILTERS)


@dataclasses.dataclass(frozen=True)
class Weight:
    """What becomes of one variable.

    Attributes:
        name: the layer's name and the variable's.
        shape: of the whole variable.
        dtype: for example "float32".
        item_bytes: size of one number.
        trainable: whether it has an optimizer's state.
        split: the dimension that is divided over the axis "model"; None for a copy on every device.
        parts: devices along that axis.
        reason: why it is not split, or how it is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    item_bytes: int
    trainable: bool
    split: int | None
    parts: int
    reason: str

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole variable."""
        return math.prod(self.shape) * self.item_bytes

    @property
    def device_bytes(self) -> int:
        """Bytes of what one device holds."""
        return self.size_bytes if self.split is None else self.size_bytes // self.parts

    @property
    def specs(self) -> tuple[str | None, ...]:
        """The axis of each dimension, or None."""
        return tuple(MODEL if dimension == self.split else None for dimension in range(len(self.shape)))


@dataclasses.dataclass(frozen=True)
class Communication:
    """One collective operation of a training step.

    Attributes:
        operation: "all-reduce" or "all-gather".
        axis: the axis of the mesh that it runs along.
        what: what travels.
        fixed_bytes: bytes that do not depend on the batch.
        example_bytes: bytes for each example of the global batch; a device has batch size / axis "batch" of them.
    """

    operation: str
    axis: str
    what: str
    fixed_bytes: int = 0
    example_bytes: int = 0

    def size_bytes(self, axes: Axes, batch_size: int) -> int:
        """Returns the bytes that each device hands over in a step with this global batch."""
        return self.fixed_bytes + self.example_bytes * math.ceil(batch_size / axes.batch)

    def formula(self, axes: Axes) -> str:
        """Returns the bytes as a formula of the global batch B."""
        if not self.example_bytes:
            return format_bytes(self.fixed_bytes)
        share = f"/{axes.batch}" if axes.batch > 1 else ""
        return f"B{share} x {format_bytes(self.example_bytes)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a model lies on a mesh.

    Attributes:
        axes: of the mesh.
        weights: one entry for each of `model.variables`, in that order.
        ways: one for each of `model.layers`, in that order: (name, the way in which it is split, or empty). Names that
            Keras makes up differ from one build to the next.
        communication: what travels in a training step.
    """

    axes: Axes
    weights: tuple[Weight, ...]
    ways: tuple[tuple[str, str], ...]
    communication: tuple[Communication, ...]

    def whole_bytes(self, slots: int = 0) -> int:
        """Returns the bytes of all weights on one device; with `slots` copies more of each that is trained."""
        return sum(weight.size_bytes * (1 + slots * weight.trainable) for weight in self.weights)

    def device_bytes(self, slots: int = 0) -> int:
        """Returns the bytes of the weights that each device of the mesh holds; `slots` as above."""
        return sum(weight.device_bytes * (1 + slots * weight.trainable) for weight in self.weights)

    def communication_bytes(self, batch_size: int) -> int:
        """Returns the bytes that each device hands over in a step with this global batch."""
        return sum(each.size_bytes(self.axes, batch_size) for each in self.communication)

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as what JSON can hold."""
        return {
            "mesh": str(self.axes),
            "weights": [
                {
                    "name": weight.name,
                    "shape": list(weight.shape),
                    "dtype": weight.dtype,
                    "split": list(weight.specs),
                    "reason": weight.reason,
                    "size_bytes": weight.size_bytes,
                    "device_bytes": weight.device_bytes,
                }
                for weight in self.weights
            ],
            "layers": {name: way for name, way in self.ways if way},
            "communication": [
                {**dataclasses.asdict(each), "formula": each.formula(self.axes)} for each in self.communication
            ],
            "size_bytes": self.whole_bytes(),
            "device_bytes": self.device_bytes(),
            "share": round(self.device_bytes() / max(self.whole_bytes(), 1), 4),
        }

    def rows(self, slots: int = 0, batch_size: int | None = None) -> list[str]:
        """Returns the plan as lines of text: weights, totals (with `slots` of an optimizer), communication."""
        lines = [f"mesh {self.axes}: {self.axes.devices} devices", ""]
        table = [("weight", "shape", "split", "whole", "a device", "how, or why not")]
        for weight in self.weights:
            shape = " x ".join(map(str, weight.shape)) or "-"
            split = "-" if weight.split is None else f"dimension {weight.split} / {weight.parts}"
            sizes = (format_bytes(weight.size_bytes), format_bytes(weight.device_bytes))
            table.append((weight.name, shape, split, *sizes, weight.reason))
        lines += _aligned(table)
        whole, device = self.whole_bytes(slots), self.device_bytes(slots)
        what = f"weights and {slots} optimizer slots of each" if slots else "weights"
        share = f"{device / max(whole, 1):.2f}x of one device"
        lines += ["", f"{what}: {format_bytes(whole)} whole, {format_bytes(device)} on each device ({share})", ""]
        traffic = [("operation", "axis", "bytes a step (B: global batch)", "what")]
        traffic += [(each.operation, each.axis, each.formula(self.axes), each.what) for each in self.communication]
        lines += _aligned(traffic)
        if batch_size is not None:
            total = format_bytes(self.communication_bytes(batch_size))
            lines += ["", f"communication: {total} from each device in a step with batch size {batch_size}"]
        return lines


def gradient_traffic(axes: Axes, weights: tuple[Weight, ...]) -> tuple[Communication, ...]:
    """Returns the all-reduce of gradients over the axis "batch"; none where it has one device."""
    size = sum(weight.device_bytes for weight in weights if weight.trainable)
    if axes.batch == 1 or not size:
        return ()
    return (Communication("all-reduce", BATCH, "gradients of what each device holds", fixed_bytes=size),)


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
