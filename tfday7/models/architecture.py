"""The contract of an architecture: a function from the problem and the options to a tf_keras model.

To add one, write `architectures/NAME.py` with

    @ARCHITECTURES.register("NAME")
    @architecture(kinds=("image",), width=32, depth=2)
    def build(problem: Problem, options: Options) -> keras.Model: ...

Classifiers end in logits and regressors in the target's own unit (`blocks.head` does both).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfday7.core.registry import Registry
from tfday7.data import Problem


@dataclasses.dataclass(frozen=True)
class Options:
    """What an architecture is scaled by; the fields of `ModelConfig` with the defaults filled in."""

    width: int
    depth: int
    dropout: float = 0.0
    l2: float = 0.0


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A registered architecture.

    Attributes:
        build: makes the model.
        kinds: the kinds of data that it takes, as in `Problem.kind`; empty for any.
        width, depth: the defaults.
        task: the only one that it learns, as in `Problem.task`; empty for any but "reconstruction".
    """

    build: Callable[[Problem, Options], Any]
    kinds: tuple[str, ...]
    width: int
    depth: int
    task: str = ""


ARCHITECTURES: Registry[Architecture] = Registry("model", "tfday7.models.architectures")


def architecture(
    kinds: tuple[str, ...], width: int, depth: int, task: str = ""
) -> Callable[[Callable[[Problem, Options], Any]], Architecture]:
    """Returns a decorator that makes an `Architecture` of a building function."""
    return lambda build: Architecture(build, kinds, width, depth, task)
