"""The weights of a model as shapes, and what each optimizer remembers for them: exact where the shapes are.

How many numbers an optimizer keeps is written down once, in `KEPT`, and checked against the variables that every
optimizer of `optimizers/table` really makes (tests/distribution/advising/test_weights.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

FLOAT_BYTES = 4  # Variables, gradients and slots are float32 under every precision.
COUNTER_BYTES = 8  # The optimizer counts its steps in one int64.


@dataclasses.dataclass(frozen=True)
class Weight:
    """One variable, or several alike.

    Attributes:
        shape: its sizes.
        hidden: whether it is a matrix of a hidden layer, which Muon and casts to 16 bit go by.
        trainable: whether it has a gradient.
        count: how many variables of the model are like this.
        divided: the dimension that tensor parallelism divides; None where every device holds the whole.
    """

    shape: tuple[int, ...]
    hidden: bool = False
    trainable: bool = True
    count: int = 1
    divided: int | None = None

    @property
    def numbers(self) -> int:
        """Numbers in one of them."""
        return math.prod(self.shape)

    def split(self, parts: int) -> Weight:
        """Returns what one of so many devices keeps of it."""
        if self.divided is None or parts == 1:
            return self
        shape = list(self.shape)
        shape[self.divided] = math.ceil(shape[self.divided] / parts)
        return dataclasses.replace(self, shape=tuple(shape))


@dataclasses.dataclass(frozen=True)
class Kept:
    """What an optimizer remembers for a variable.

    Attributes:
        whole: numbers for each weight.
        scalars: numbers for each variable.
    """

    whole: int
    scalars: int = 0


KEPT: dict[str, Kept] = {
    "adabelief": Kept(2), "adadelta": Kept(2), "adagrad": Kept(1), "adam": Kept(2), "adamax": Kept(2),
    "adamw": Kept(2), "ftrl": Kept(2), "lamb": Kept(2), "lars": Kept(1), "lion": Kept(1), "lookahead": Kept(3),
    "nadam": Kept(2, 1), "novograd": Kept(1, 1), "radam": Kept(2), "rmsprop": Kept(1),
    "schedule_free_adamw": Kept(2, 1), "sgd": Kept(1), "yogi": Kept(2),
    "tfa_adabelief": Kept(2), "tfa_lamb": Kept(2), "tfa_novograd": Kept(1, 1), "tfa_radam": Kept(2),
    "tfa_yogi": Kept(2),
}  # fmt: skip


def slot_numbers(optimizer: str, weight: Weight) -> int:
    """Returns the numbers that an optimizer with its default settings keeps for one variable.

    Args:
        optimizer: a name in `optimizers.table`.
        weight: the variable.
    """
    shape = weight.shape
    if optimizer == "adafactor":  # Row and column means over the last two dimensions; a vector has all of it.
        if len(shape) < 2:
            return weight.numbers
        return math.prod(shape[:-1]) + math.prod(shape[:-2]) * shape[-1]
    if optimizer == "muon":  # Momentum for hidden matrices, Adam for the rest.
        return weight.numbers * (1 if weight.hidden else 2)
    kept = KEPT[optimizer]
    return kept.whole * weight.numbers + kept.scalars


def numbers(weights: Iterable[Weight], trainable_only: bool = False) -> int:
    """Returns how many numbers the weights have together."""
    return sum(each.count * each.numbers for each in weights if each.trainable or not trainable_only)


def weight_bytes(weights: Iterable[Weight]) -> int:
    """Returns the bytes of the variables."""
    return FLOAT_BYTES * numbers(weights)


def gradient_bytes(weights: Iterable[Weight]) -> int:
    """Returns the bytes of one gradient of every trainable variable."""
    return FLOAT_BYTES * numbers(weights, trainable_only=True)


def optimizer_bytes(weights: Iterable[Weight], optimizer: str) -> int:
    """Returns the bytes of the optimizer's slots and its counter."""
    slots = sum(each.count * slot_numbers(optimizer, each) for each in weights if each.trainable)
    return FLOAT_BYTES * slots + COUNTER_BYTES


def split(weights: Iterable[Weight], parts: int) -> tuple[Weight, ...]:
    """Returns what one of so many devices keeps under tensor parallelism."""
    return tuple(each.split(parts) for each in weights)


def alike(parameters: int) -> tuple[Weight, ...]:
    """Returns weights of which only the number is known, as one square matrix and a vector for what is left."""
    side = math.isqrt(parameters)
    left = parameters - side * side
    return (Weight((side, side)), *([Weight((left,))] if left else []))
