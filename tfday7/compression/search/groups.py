"""Where a model can best spare channels: each group's cost in accuracy and its gain, measured, and what follows."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tfday7.compression.shrink.choosing import rounded
from tfday7.compression.technique import Work
from tfday7.core.errors import UserError
from tfday7.data.dataset import Dataset, Examples
from tfday7.data.lazy import take

PROBED = 0.5  # Of a group's channels that go for the probe.
EXAMPLES, LEAST_EXAMPLES = 1000, 32  # Of validation, on which a probe is judged: at most, and where time is short.
MOST = 0.875  # Of a group's channels that may go.
STEPS = 24  # Of the bisection for a multiplier.
MOVED_WEIGHT = 0.1  # Outputs that move by all their spread count as a metric that drops by so much.
LEAST_DAMAGE = 1e-4  # A group whose removal helps counts as nearly free, not as a gain.
Say = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class GroupCost:
    """What becomes of a model when half of one group's channels go and nothing is trained.

    Attributes:
        name, kind: the group's; its length is the number of its channels.
        channels: how many it has.
        removed: how many went.
        metric_drop: of the metric, on validation examples.
        outputs_moved: root mean square over that of the outputs around their mean; tells groups apart of which the
            metric says the same.
        macs_saved, parameters_saved: shares of the model's; MACs None where a layer cannot be counted.
        latency_saved: share of the int8 file's time on the device asked for; None where it was not measured.
    """

    name: str
    kind: str
    channels: int
    removed: int
    metric_drop: float
    outputs_moved: float
    macs_saved: float | None
    parameters_saved: float
    latency_saved: float | None = None

    def __len__(self) -> int:
        return self.channels

    @property
    def damage(self) -> float:
        """What the probe did, as one number: the metric's drop and how far the outputs moved."""
        return max(self.metric_drop, 0.0) + MOVED_WEIGHT * self.outputs_moved + LEAST_DAMAGE

    @property
    def gain(self) -> float:
        """The mean share of MACs, parameters and time that a whole group would save; lost time counts as none saved."""
        time = None if self.latency_saved is None else max(self.latency_saved, 0.0)
        saved = [each for each in (self.macs_saved, self.parameters_saved, time) if each is not None]
        return sum(saved) / len(saved) * self.channels / self.removed

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)


class ProbeTimer(Protocol):
    """Times models beside the one that is probed."""

    def has_time(self) -> bool:
        """Returns whether there is time for one more."""

    def add(self, name: str, model: Any) -> None:
        """Takes a probe."""

    def saved(self) -> Mapping[str, float]:
        """Returns the share of the time that each probe saves, where known. Raises UserError without a device."""


def measure(
    model: Any, dataset: Dataset, seed: int = 0, seconds: float = math.inf, say: Say = lambda sentence: None
) -> list[GroupCost]:
    """Returns the cost of every group that can lose half of its channels; the test split is not looked at.

    Args:
        model: a float32 functional model with one input and one output.
        dataset: its first validation examples judge; training examples where there are none.
        seed: see `shrink.plan`.
        seconds: where this is short, fewer examples judge; groups that are not reached by then are left out.
        say: told of groups that are left out.

    Raises:
        UserError: nothing of the model can go.
    """
    from tfday7.compression import shrink
    from tfday7.compression.finetuning import metric_of
    from tfday7.data import pipeline

    started = time.monotonic()
    able = [one.group for one in shrink.plan(model, ratio=PROBED, seed=seed, round_to=1).groups]
    able = [group for group in able if _stay(len(group)) < len(group)]
    planning = time.monotonic() - started
    judges = _judges(model, dataset, seconds / (1 + len(able)) - planning)
    work = Work(model, model, dataclasses.replace(dataset, validation=judges))
    outputs = pipeline.predict(model, judges)
    metric, spread = metric_of(work, outputs), float(np.std(outputs - outputs.mean(axis=0))) or 1.0
    found: list[GroupCost] = []
    for group in able:
        if time.monotonic() > started + seconds:
            say(f"there is no time to judge more than {len(found)} of {len(able)} groups of channels")
            break
        plan = shrink.plan(model, counts={group.name: _stay(len(group))}, seed=seed)
        with plan.masking() as probe:
            moved = pipeline.predict(probe, judges)
        found.append(
            GroupCost(
                name=group.name,
                kind=group.kind,
                channels=len(group),
                removed=len(group) - _stay(len(group)),
                metric_drop=metric - metric_of(work, moved),
                outputs_moved=float(np.sqrt(np.mean(np.square(moved - outputs)))) / spread,
                macs_saved=None if plan.macs is None else 1 - plan.macs[1] / plan.macs[0],
                parameters_saved=1 - plan.parameters[1] / plan.parameters[0],
            )
        )
    return found


def _stay(channels: int) -> int:
    """Returns how many of a group's channels stay in its probe."""
    return max(1, round(channels * (1 - PROBED)))


def _judges(model: Any, dataset: Dataset, seconds: float) -> Examples:
    """Returns examples that judge: as many as the model answers in so many seconds, from the least to the most."""
    from tfday7.data import pipeline

    if seconds == math.inf:
        return first_examples(dataset, EXAMPLES)
    few = first_examples(dataset, LEAST_EXAMPLES)
    pipeline.predict(model, few)  # The model is traced.
    started = time.monotonic()
    pipeline.predict(model, few)
    fitting = LEAST_EXAMPLES * seconds / max(time.monotonic() - started, 1e-9)
    return first_examples(dataset, int(min(EXAMPLES, max(LEAST_EXAMPLES, fitting))))


def first_examples(dataset: Dataset, count: int) -> Examples:
    """Returns so many validation examples, or as many as there are; training examples where there are none."""
    split = dataset.validation if len(dataset.validation) else dataset.train
    chosen = np.arange(min(count, len(split)))
    return dataclasses.replace(split, x=take(split.x, chosen), y=take(split.y, chosen))


def with_times(model: Any, costs: Sequence[GroupCost], timer: ProbeTimer, seed: int = 0) -> list[GroupCost]:
    """Returns the costs with what each group saves of the time, as far as the timer has time for it.

    Args:
        model, seed: as of `measure`.
        costs: from `measure`.
        timer: times the probes, those that save the most first.

    Raises:
        UserError: what times the probes has failed.
    """
    from tfday7.compression import shrink

    for one in sorted(costs, key=lambda one: -one.gain):
        if timer.has_time():
            stay = one.channels - one.removed
            timer.add(one.name, shrink.plan(model, counts={one.name: stay}, seed=seed).apply())
    times = timer.saved()
    return [dataclasses.replace(one, latency_saved=times.get(one.name)) for one in costs]


def allocate(
    costs: Sequence[GroupCost], allowed: Callable[[dict[str, int]], bool], round_to: int = 8
) -> dict[str, int]:
    """Returns how many channels of each group stay: the least damage with which `allowed` holds.

    The damage of removing a share f of a group is taken as its probe's, times (f / `PROBED`) squared: little goes
    nearly for free, more costs more. Of all ways to save as much, the least damage takes from each group the share
    that is proportional to its gain over its cost; the factor is found by bisection.

    Args:
        costs: from `measure`.
        allowed: whether a choice saves enough; saving more never turns it false.
        round_to: counts of groups of 16 or more are multiples of it.

    Raises:
        UserError: even the most that may go does not save enough.
    """
    costs = _comparable(costs)
    best: dict[str, int] | None = None
    low, high = -12.0, 12.0  # Of the factor's logarithm.
    known: dict[tuple[int, ...], bool] = {}  # Counts are rounded: many factors come to the same.
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        counts = {one.name: _stays(one, float(np.exp(middle)), round_to) for one in costs}
        key = tuple(counts.values())
        known[key] = known[key] if key in known else allowed(counts)
        if known[key]:
            best, high = counts, middle
        else:
            low = middle
    if best is None:
        raise UserError("the groups cannot spare as much", "ask for a smaller ratio")
    return best


def _comparable(costs: Sequence[GroupCost]) -> list[GroupCost]:
    """Returns the costs with the time of those that were not timed: as much of it for their MACs as others save."""
    known = [one.latency_saved / one.macs_saved for one in costs if one.latency_saved is not None and one.macs_saved]
    if not known:
        return [dataclasses.replace(one, latency_saved=None) for one in costs]
    share = statistics.median(known)
    guesses = [dataclasses.replace(one, latency_saved=share * (one.macs_saved or 0.0)) for one in costs]
    return [guess if one.latency_saved is None else one for one, guess in zip(costs, guesses, strict=True)]


def _stays(one: GroupCost, factor: float, round_to: int) -> int:
    share = min(MOST, factor * one.gain * PROBED**2 / one.damage)
    return rounded(one, one.channels * (1 - share), round_to)
