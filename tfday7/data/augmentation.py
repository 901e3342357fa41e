"""Random changes of training batches that keep what the label says, drawn as a pure function of (seed, step).

Never applied to validation or test. To add one, write in `augmentations/`

    @AUGMENTATIONS.register("NAME")
    @augmentation(kinds=("image",))
    def NAME(x: Any, seed: Any, problem: Problem) -> Any: ...

It gets a whole batch [batch, ...] and a seed of two integers for the stateless random functions. With `labels=True` it
gets and returns `(x, y)`; with `unit=True` inputs beyond 0 to 1 are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.registry import Registry
from tfday7.core.seeds import derive_seed
from tfday7.data import pixels
from tfday7.data.dataset import Problem
from tfday7.data.lazy import Inputs

Batch = tuple[Any, Any]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A registered augmentation.

    Attributes:
        apply: changes a batch.
        kinds: the kinds of data that it takes, as in `Problem.kind`.
        labels: whether it changes labels as well as inputs; such take classes and labels, not values.
        unit: whether it takes values from 0 to 1 alone.
    """

    apply: Callable[..., Any]
    kinds: tuple[str, ...]
    labels: bool = False
    unit: bool = False


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", "tfday7.data.augmentations")


def augmentation(
    kinds: tuple[str, ...], labels: bool = False, unit: bool = False
) -> Callable[[Callable[..., Any]], Augmentation]:
    """Returns a decorator that makes an `Augmentation` of a function."""
    return lambda apply: Augmentation(apply, kinds, labels, unit)


def parse(names: str) -> tuple[str, ...]:
    """Returns the augmentations in a comma list. Raises UserError listing the known ones for an unknown name."""
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        AUGMENTATIONS.get(name)
    return chosen


def check(names: str, problem: Problem) -> tuple[str, ...]:
    """Returns the augmentations in a comma list.

    Raises:
        UserError: as `parse`, or one does not fit the data; the hint lists those that do.
    """
    chosen = parse(names)
    fitting = [name for name in AUGMENTATIONS.names() if problem.kind in AUGMENTATIONS.get(name).kinds]
    for name in chosen:
        if name not in fitting:
            kinds = " or ".join(AUGMENTATIONS.get(name).kinds)
            raise UserError(
                f"--augment={name} takes {kinds} data; the data is {problem.kind}",
                f"for such data: {', '.join(fitting) or 'none'}",
            )
        if AUGMENTATIONS.get(name).labels and problem.task not in ("classification", "multilabel"):
            raise UserError(f"--augment={name} mixes classes; the task is {problem.task}", f"leave {name} out")
    return chosen


def check_inputs(names: str, inputs: Inputs) -> None:
    """Checks that inputs are on the scale that the augmentations in a comma list take.

    Raises:
        UserError: as `parse`, or one of them takes values from 0 to 1, and there are others.
    """
    for name in parse(names):
        if AUGMENTATIONS.get(name).unit:
            pixels.check(inputs, f"--augment={name}", name)


def mixes_labels(names: str) -> bool:
    """Returns whether one of the augmentations in a comma list turns class indices into shares of the classes."""
    return any(AUGMENTATIONS.get(name).labels for name in parse(names))


def augmenter(names: Sequence[str], problem: Problem, seed: int) -> Callable[[Any, Any, Any], Batch]:
    """Returns a function (x, y, step) -> (x, y) that applies the named augmentations in order.

    Args:
        names: keys of `AUGMENTATIONS`.
        problem: says what the values mean: their deviations, the number of classes.
        seed: the stream's seed.
    """
    streams = [(AUGMENTATIONS.get(name), derive_seed(seed, name)) for name in names]

    def apply(x: Any, y: Any, step: Any) -> Batch:
        for chosen, stream in streams:
            at = tf.stack([tf.constant(stream, tf.int64), tf.cast(step, tf.int64)])
            if chosen.labels:
                x, y = chosen.apply(x, y, at, problem)
            else:
                x = chosen.apply(x, at, problem)
        return x, x if problem.task == "reconstruction" else y  # What it is to give again is what it saw.

    return apply


def stream(seed: Any, index: int) -> Any:
    """Returns a seed of its own for the `index`-th draw of one augmentation."""
    return tf.random.experimental.stateless_fold_in(seed, index)
