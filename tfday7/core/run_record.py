"""The types of what stages read again of run.json, but for the optimizer's settings and the range test (`advisor`).

A field that is missing has not been written yet.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run was trained on: `examples` of each split, and a digest of all of them."""

    task: str = "classification"
    kind: str = "image"
    fingerprint: str = ""
    examples: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scores:
    """The metric on each split, and what guessing reaches; None for a class of which there are no examples."""

    name: str = ""
    train: float | None = None
    validation: float | None = None
    test: float | None = None
    baseline: float | None = None
    class_recall: list[float | None] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Training:
    """How training went; times in seconds and milliseconds."""

    stopped: str = "finished"
    seconds: float = 0.0
    step_ms: float | None = None
    input_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How training was spread: over how many steps a batch was; 0 where nobody has said."""

    accumulate_steps: int = 0


@dataclasses.dataclass(frozen=True)
class Gate:
    """Why a run ended with exit code 3."""

    message: str
    hint: str


@dataclasses.dataclass(frozen=True)
class Run:
    """The whole."""

    status: str = ""
    data: Data = Data()
    metric: Scores = Scores()
    training: Training = Training()
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    distribution: Distribution = Distribution()
    gate: Gate | None = None
