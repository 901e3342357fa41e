"""What a candidate costs before it is made: the seconds of its epochs, and of all that does not hang on them.

Epochs that were trained before are free: recipes that begin alike train their beginning once (`finetuning`). So what
goes on from a trained beginning, with zeros, clusters, rounding or other numbers, costs a part of what began it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfday7.compression.search.space import Point

Entry = dict[str, Any]  # Of a search's log; see `log`.
Beginnings = Sequence[tuple[str, int]]
MARGIN = 1.1  # Of an expected time.
WANTED = 3  # Candidates with the same epochs that a search has time for, at least, if half of the epochs allow it.
QAT = "qat"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a candidate takes: `constant` for all that does not hang on epochs, and `epoch` for each one."""

    constant: float
    epoch: float

    def of(self, epochs: int) -> float:
        """Returns what it takes with so many epochs."""
        return self.constant + epochs * self.epoch

    def epochs_within(self, seconds: float, most: int) -> int:
        """Returns how many epochs a candidate can have in so many seconds, with the margin: from 1 to `most`."""
        fits = (seconds / MARGIN - self.constant) / self.epoch if self.epoch else math.inf
        return int(max(1, min(most, fits)))


IN_EPOCHS = Cost(1.0, 1.0)  # Where seconds are unknown, or must decide nothing.


class Costs:
    """What candidates have cost, and so what others will.

    Args:
        log: what was tried.
        guess: what a candidate is taken to cost before one was trained; None where that is not known.
    """

    def __init__(self, log: Sequence[Entry], guess: Cost | None = None) -> None:
        self._guess = guess
        self._found = [(Point(**one["decision"]["point"]), *_parts(one)) for one in trained(log)]

    def of(self, point: Point | None = None) -> Cost | None:
        """Returns the median cost in seconds of the candidates that trained; the guess of what none of them tells.

        Args:
            point: whose cost is asked for. Its epochs take as long as those of the candidates with the nearest ratio
                of channels, with or without rounding as it has. None for the cost of all.
        """
        if not self._found:
            return self._guess
        timed = [(one, epoch) for one, _, epoch in self._found if epoch is not None]
        if point is not None and timed:
            timed = [each for each in timed if (each[0].kind == QAT) == (point.kind == QAT)] or timed
            nearest = min(abs(one.ratio - point.ratio) for one, _ in timed)
            timed = [each for each in timed if abs(each[0].ratio - point.ratio) == nearest]
        constant = statistics.median(rest for _, rest, _ in self._found)
        unknown = 0.0 if self._guess is None else self._guess.epoch
        return Cost(max(0.0, constant), statistics.median(epoch for _, epoch in timed) if timed else unknown)


def same_epochs(rungs: Sequence[int], begun: Sequence[int], known: Cost, left: float) -> int:
    """Returns the epochs that every candidate of a search has which can have but few candidates.

    All, where a few candidates can have as many, otherwise what allows these few, but no less than half of all, and
    where not even that fits, what does. What begins like an earlier one trains its beginning once: so there are as many
    as that had, unless there is time for more candidates with all of them.

    Args:
        rungs: see `proposing.Proposer`.
        begun: epochs of candidates that are there or in work.
        known: what a candidate costs.
        left: seconds.
    """
    most = rungs[-1]
    half = max([math.ceil(most / 2), *(rung + 1 for rung in rungs[:-1])])
    wanted = max(1, min(WANTED, int(left / (MARGIN * known.of(half)))))
    fits = known.epochs_within(left / wanted, most)
    before = max((epochs for epochs in begun if epochs >= half), default=fits)
    return most if wanted == WANTED and fits == most else before


def trained(log: Sequence[Entry]) -> list[Entry]:
    """Returns the entries of a log that were trained; one that could not be made says nothing of what others cost."""
    return [entry for entry in log if entry["decision"]["epochs"] and entry["candidate"]["steps"]]


def check(log: Sequence[Entry]) -> None:
    """Reads what a log says of steps, and raises Python's own errors of name, type and value where it does not."""
    for entry in log:
        _parts(entry)
        beginnings((entry["candidate"]["recipe"] or {"steps": ()})["steps"])


def tells_epochs(log: Sequence[Entry]) -> bool:
    """Returns whether a log says how long an epoch takes."""
    return any(_parts(entry)[1] is not None for entry in trained(log))


def _parts(entry: Entry) -> tuple[float, float | None]:
    """Returns a candidate's seconds without its epochs, and those of an epoch, as `finetune` has recorded them.

    None for an epoch where all was trained before, or too short to be timed.
    """
    timed = [one for one in _finetunings(entry["candidate"]["steps"]) if one["epoch_seconds"]]
    epochs = sum(one["epochs"] for one in timed)
    seconds = sum(one["epochs"] * one["epoch_seconds"] for one in timed)
    return sum(entry["seconds"].values()) - seconds, seconds / epochs if timed else None


def _finetunings(told: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(told, dict) and "epoch_seconds" in told:
        yield told
    elif isinstance(told, dict | list):
        for each in told.values() if isinstance(told, dict) else told:
            yield from _finetunings(each)


class Price:
    """Says what a point with so many epochs costs, of which those of a beginning that was trained before are free.

    Args:
        log: what was tried.
        steps: of the recipe of a point with so many epochs, each as what tells its beginning from others (see
            `beginnings`) and the epochs that it trains for.
        in_seconds: whether seconds are what counts, with a margin; otherwise epochs are (`IN_EPOCHS`).
        guess: as of `Costs`.
    """

    def __init__(
        self,
        log: Sequence[Entry],
        steps: Callable[[Point, int], Beginnings],
        in_seconds: bool,
        guess: Cost | None = None,
    ) -> None:
        self.steps, self.in_seconds = steps, in_seconds
        self._known = Costs(log, guess)
        recipes = [entry["candidate"]["recipe"] for entry in log if entry["candidate"]["steps"]]
        self._trained = {beginning for one in recipes if one for beginning, _ in beginnings(one["steps"])}
        fixed = [sum(entry["seconds"].values()) for entry in log if not entry["decision"]["epochs"]]
        self._fixed = max(fixed, default=0.0)
        self._costs: dict[tuple[bool, float], Cost | None] = {}

    def __call__(self, point: Point, epochs: int) -> float:
        """Returns the price."""
        if not self.in_seconds:
            return IN_EPOCHS.of(self.untrained(point, epochs))
        known = self._cost(point) if epochs else None
        return self._fixed if known is None else MARGIN * known.of(self.untrained(point, epochs))

    def untrained(self, point: Point, epochs: int) -> int:
        """Returns how many epochs are left to train."""
        return sum(count for beginning, count in self.steps(point, epochs) if beginning not in self._trained)

    def _cost(self, point: Point) -> Cost | None:
        key = (point.kind == QAT, point.ratio)
        if key not in self._costs:
            self._costs[key] = self._known.of(point)
        return self._costs[key]


def beginnings(steps: Sequence[Mapping[str, Any]]) -> Beginnings:
    """Returns what tells the first step, the first two, and so on, from others, each with the last one's epochs.

    Args:
        steps: of a recipe, as JSON values.
    """
    told = itertools.accumulate(json.dumps(step, sort_keys=True) for step in steps)
    return [(each, step.get("epochs", 0)) for each, step in zip(told, steps, strict=True)]
