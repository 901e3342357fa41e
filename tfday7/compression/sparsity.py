"""Which weights are zeroed: the smallest, alone, in blocks, or two of each four; and by when.

A kernel is seen as runtimes store it: rows of inputs, one row for each output and position of the kernel. Blocks and
groups of four lie in these rows, because there a sparse kernel saves work: four consecutive inputs of one output are
what TFLite's and NVIDIA's take (arXiv:2104.08378, section 2).

`Ramp` zeroes more and more while the weights train, by a schedule of TFMOT's (Zhu & Gupta, 2017, arXiv:1710.01878). It
works in the optimizer's graph, step by step, however many steps Keras runs in one call.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfday7.compression import constraints
from tfday7.compression.constraints import Weight
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf

PATTERNS = ("unstructured", "block", "2:4")
GROUP, GROUP_ZEROS = 4, 2
MOST_UPDATES = 50  # Of the masks on the way to all zeros: each sorts the weights.


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the axes of a kernel are.

    Attributes:
        outputs, positions, inputs: axes in their order. Without inputs (depthwise kernels, tables of embeddings)
            nothing is summed over, so there are no rows to speak of.
        kind: "dense", "convolution", "recurrent", "depthwise" or "table".
    """

    kind: str
    outputs: tuple[int, ...]
    positions: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Whether sums over inputs are computed with it."""
        return bool(self.inputs)

    @property
    def order(self) -> tuple[int, ...]:
        """All axes: outputs, positions, inputs."""
        return (*self.outputs, *self.positions, *self.inputs)

    def sizes(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Returns how many outputs, positions and inputs a kernel of a shape has."""
        outputs, positions, inputs = (
            math.prod(shape[axis] for axis in axes) for axes in (self.outputs, self.positions, self.inputs)
        )
        return outputs, positions, inputs

    def rows(self, weight: Any) -> Any:
        """Returns a kernel, tensor or array, as a tensor [outputs, positions, inputs]."""
        moved = tf.transpose(weight, self.order)
        return tf.reshape(moved, self.sizes(tuple(weight.shape)))

    def back(self, rows: Any, shape: tuple[int, ...]) -> Any:
        """Returns the kernel of a shape that has these rows."""
        moved = tf.reshape(rows, [shape[axis] for axis in self.order])
        return tf.transpose(moved, np.argsort(self.order))


def layout_of(weight: Weight) -> Layout | None:
    """Returns the axes of a layer's kernel; None for everything else: biases, norms, weights of unknown layers."""
    kinds, layer, rank = keras.layers, weight.layer, weight.variable.shape.rank
    if weight.name not in _KERNELS or rank < 2:
        return None
    if isinstance(layer, kinds.DepthwiseConv1D | kinds.DepthwiseConv2D) or weight.name == "depthwise_kernel":
        return Layout("depthwise", (rank - 2, rank - 1), tuple(range(rank - 2)))
    if isinstance(layer, kinds.Embedding):
        return Layout("table", (), (0, 1))
    if isinstance(layer, kinds.SimpleRNNCell | kinds.GRUCell | kinds.LSTMCell):
        return Layout("recurrent", (1,), (), (0,))
    if isinstance(layer, kinds.EinsumDense):
        return _einsum(layer.equation, rank)
    if isinstance(layer, kinds.Conv1DTranspose | kinds.Conv2DTranspose | kinds.Conv3DTranspose):
        return Layout("convolution", (rank - 2,), tuple(range(rank - 2)), (rank - 1,))
    convolutions = kinds.Conv1D | kinds.Conv2D | kinds.Conv3D | kinds.SeparableConv1D | kinds.SeparableConv2D
    if isinstance(layer, convolutions):
        return Layout("convolution", (rank - 1,), tuple(range(rank - 2)), (rank - 2,))
    return Layout("dense", (1,), (), (0,)) if isinstance(layer, kinds.Dense) else None


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The units in which weights are zeroed: single ones, blocks of outputs x inputs, or two of each four inputs."""

    name: str = "unstructured"
    block: tuple[int, int] = (1, 1)

    def fits(self, layout: Layout) -> bool:
        """Returns whether a kernel has such units."""
        return self.name == "unstructured" or layout.has_rows

    def units(self, layout: Layout, shape: tuple[int, ...]) -> int:
        """Returns how many units a kernel of a shape has; at its edges they may be smaller. Not for 2:4."""
        if self.name == "unstructured":
            return math.prod(shape)
        outputs, positions, inputs = layout.sizes(shape)
        return -(-outputs // self.block[0]) * positions * -(-inputs // self.block[1])

    def zero_units(self, layout: Layout, shape: tuple[int, ...], sparsity: float) -> int:
        """Returns how many units a share is: rounded, and never all of them. Not for 2:4."""
        units = self.units(layout, shape)
        return min(round(units * sparsity), units - 1)

    def mask(self, weight: Any, layout: Layout, zero_units: Any = 0) -> Any:
        """Returns which weights stay: a bool tensor of the kernel's shape.

        The units with the smallest mean magnitude go; of equal ones the first.

        Args:
            weight: a tensor or variable of known shape.
            layout: its axes.
            zero_units: how many go; a number or a tensor. Not for 2:4, where two of each four do. A row's last
                group that is short keeps two of what it has.
        """
        shape = tuple(weight.shape)
        if self.name == "unstructured":
            stays = _all_but_smallest(tf.abs(tf.reshape(weight, [-1])), zero_units)
            return tf.reshape(stays, shape)
        rows = tf.abs(layout.rows(weight))
        stays = _two_of_four(rows) if self.name == "2:4" else _blocks(rows, self.block, zero_units)
        return tf.cast(layout.back(tf.cast(stays, tf.float32), shape), tf.bool)


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """A weight that a technique may change, and what its axes are."""

    weight: Weight
    layout: Layout

    @property
    def values(self) -> np.ndarray:
        """Returns its numbers now."""
        return self.weight.variable.numpy()


def kernels(model: Any, skip: str, depthwise: bool, leave: Callable[[str, str], Any]) -> list[Kernel]:
    """Returns the kernels of dense, convolutional, recurrent and embedding layers, also those inside of other layers.

    Args:
        model: a built tf_keras model.
        skip: layers to leave out, a comma list: "conv", in a nested model "nested/conv", or "nested" for all of it.
        depthwise: whether depthwise kernels are among them.
        leave: told (layer, reason) of each layer with a matrix or kernel that is left out.

    Raises:
        UserError: `skip` names a layer that the model has not, or that has no weights.
    """
    known = constraints.weights(model)
    asked = {name.strip() for name in skip.split(",")} - {""}
    for name in sorted(asked - {place for weight in known.values() for place in _above(weight.place)}):
        places = list(dict.fromkeys(weight.place for weight in known.values()))
        raise UserError(f"skip={name}: no layer with weights has that name", f"known: {', '.join(places)}")
    found = []
    for weight in known.values():
        layout = layout_of(weight)
        if asked & set(_above(weight.place)):
            reason = "left out, as asked for"
        elif layout is None:
            reason = f"{type(weight.layer).__name__}: not known what the axes of its {weight.name} are"
        elif layout.kind == "depthwise" and not depthwise:
            reason = "depthwise kernel: few weights, each of which counts; depthwise=true takes them, too"
        else:
            found.append(Kernel(weight, layout))
            continue
        if weight.variable.trainable and weight.variable.shape.rank >= 2 and weight.name != "bias":
            leave(weight.place, reason)
    return found


def _above(place: str) -> list[str]:
    """Returns a place and those that it is in: "a/b", "a"."""
    parts = place.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


class Ramp(keras.callbacks.Callback):
    """Zeroes more and more units while a model trains, until at a given step all that were asked for are zero.

    What is zero once stays zero. Training that goes on from a checkpoint goes on with the zeros that it finds.

    Args:
        targets: layout and share of zeros (of units) of each weight, by path; something must be attached to each
            (`constraints.attach`), if only masks without any zeros.
        pattern: not 2:4, which has no steps on its way.
        last_step: of the optimizer, counted from 1, at which the share is reached.
    """

    def __init__(self, targets: Mapping[str, tuple[Layout, float]], pattern: Pattern, last_step: int) -> None:
        super().__init__()
        self.targets = dict(targets)
        self.pattern = pattern
        self.last_step = last_step
        self._weights: list[tuple[Any, constraints.Projection]] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Finds the weights: those of the model that trains, which may be a copy in another precision."""
        optimizer = self.model.optimizer
        self._weights = [each for each in constraints.attached(self.model) if each[1].path in self.targets]
        for variable, projection in self._weights:
            layout, sparsity = self.targets[projection.path]
            started = int(optimizer.iterations.numpy()) > 0
            stays = np.not_equal(variable.numpy(), 0) if started else np.ones(tuple(variable.shape), bool)
            projection.also = _Mask(self.pattern, layout, sparsity, self.last_step, optimizer, stays)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Lets go of the model; the zeros that are there stay in its weights."""
        for _, projection in self._weights:
            projection.also = None


class _Mask:
    """The mask of one weight, and the schedule by which it shrinks."""

    def __init__(
        self, pattern: Pattern, layout: Layout, sparsity: float, last_step: int, optimizer: Any, stays: np.ndarray
    ) -> None:
        from tensorflow_model_optimization.sparsity.keras import PolynomialDecay

        self.pattern = pattern
        self.layout = layout
        self.optimizer = optimizer
        self.stays = tf.Variable(stays, trainable=False)
        self.units = pattern.units(layout, stays.shape)
        self.zero_units = pattern.zero_units(layout, stays.shape, sparsity)
        self.last_step = last_step
        self.schedule = PolynomialDecay(0.0, sparsity, 0, last_step, frequency=1)
        self.every = max(1, last_step // MOST_UPDATES)

    def __call__(self, weight: Any, after_step: bool) -> Any:
        """Returns the masked weight; after a step that the schedule names the mask is made anew before."""
        if after_step:
            step = tf.cast(self.optimizer.iterations, tf.int64)
            due = (step <= self.last_step) & ((step % self.every == 0) | (step == self.last_step))
            self.stays.assign(tf.cond(due, lambda: self._smaller(weight, step), lambda: self.stays.read_value()))
        return tf.where(self.stays, weight, tf.zeros_like(weight))

    def _smaller(self, weight: Any, step: Any) -> Any:
        _, sparsity = self.schedule(step)
        scheduled = tf.cast(tf.math.floor(sparsity * tf.cast(self.units, tf.float32)), tf.int32)
        zero_units = tf.where(step == self.last_step, self.zero_units, tf.minimum(scheduled, self.zero_units))
        masked = tf.where(self.stays, weight, tf.zeros_like(weight))
        return self.pattern.mask(masked, self.layout, zero_units) & self.stays


_KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel", "embeddings")


def _einsum(equation: str, rank: int) -> Layout | None:
    """Returns the axes of the kernel of an EinsumDense; letters of input and output alike stand for positions."""
    inputs, kernel, output = equation.replace("...", "").replace("->", ",").split(",")
    if len(kernel) != rank:
        return None
    axes = range(rank)
    summed = tuple(axis for axis in axes if kernel[axis] not in output)
    both = tuple(axis for axis in axes if kernel[axis] in output and kernel[axis] in inputs)
    return Layout("dense", tuple(axis for axis in axes if axis not in summed and axis not in both), both, summed)


def _all_but_smallest(scores: Any, count: Any) -> Any:
    """Returns False for the `count` smallest of a vector, of equal ones the first."""
    order = tf.argsort(scores, stable=True)
    gone = order[:count]
    return tf.tensor_scatter_nd_update(tf.ones_like(scores, tf.bool), gone[:, None], tf.zeros_like(gone, tf.bool))


def _blocks(rows: Any, block: tuple[int, int], count: Any) -> Any:
    """Returns which of [outputs, positions, inputs] stay when the `count` blocks with the smallest means go."""
    outputs, positions, inputs = rows.shape
    high, wide = -(-outputs // block[0]), -(-inputs // block[1])
    edges = [[0, high * block[0] - outputs], [0, 0], [0, wide * block[1] - inputs]]

    def sums(values: Any) -> Any:
        parts = tf.reshape(tf.pad(values, edges), [high, block[0], positions, wide, block[1]])
        return tf.reduce_sum(parts, axis=(1, 4))

    means = sums(rows) / sums(tf.ones_like(rows))  # What is missing at the edges does not count.
    stays = tf.reshape(_all_but_smallest(tf.reshape(means, [-1]), count), [high, positions, wide])
    stays = tf.repeat(tf.repeat(stays, block[0], axis=0), block[1], axis=2)
    return stays[:outputs, :, :inputs]


def _two_of_four(rows: Any) -> Any:
    outputs, positions, inputs = rows.shape
    wide = -(-inputs // GROUP)
    padded = tf.pad(rows, [[0, 0], [0, 0], [0, wide * GROUP - inputs]], constant_values=-1)  # Padding goes first.
    groups = tf.reshape(padded, [-1, GROUP])
    ranks = tf.argsort(tf.argsort(groups, stable=True), stable=True)
    return tf.reshape(ranks >= GROUP_ZEROS, [outputs, positions, wide * GROUP])[:, :, :inputs]
