"""What to try next: a pure function of what has been tried, so that a log can be replayed.

Searches begin with the same few points, but for those of which nothing is expected: rounded ones, where a device takes
longer for rounded numbers. Points start with few epochs of fine-tuning, or with all where that costs little more; of
those that have as many, the best third may have more (successive halving, without waiting for a whole round). New
points are those of which a surrogate expects most for what they cost: a Gaussian process over the point and its epochs
that predicts how much of the metric is lost, on top of a rough guess. Size, time and MACs are not learned but estimated
(`estimates`). One decision serves the budget, the next one the frontier. Nothing is begun that all epochs could not
follow.

Sources: L. Li et al., A system for massively parallel hyperparameter tuning (ASHA), MLSys 2020, arXiv:1810.05934;
J. Snoek et al., Practical Bayesian optimization of machine learning algorithms, NeurIPS 2012, section 3.2 (what is
expected of a point, divided by its cost).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfday7.compression import limits
from tfday7.compression.config import BudgetConfig
from tfday7.compression.records import Candidate
from tfday7.compression.search import space
from tfday7.compression.search.costs import IN_EPOCHS
from tfday7.compression.search.decisions import Decision, Trial
from tfday7.compression.search.estimates import Estimate, Estimates, Measured, Structure
from tfday7.compression.search.judging import Guess, Judge
from tfday7.compression.search.space import Point
from tfday7.compression.search.surrogate import Surrogate

REDUCTION = 3  # Of successive halving: one in so many goes on.
FRONTIER_EVERY = 2  # Of so many decisions one serves the frontier.
LEAST_WORTH = 1e-6  # What is expected of a candidate, at least, that is trained on.
SPARED = 1.5  # Times as much as with fewer epochs: more epochs at once, where it is no more.
SPARE = 1.15  # An estimated size may exceed a limit by so much before the point is left out; MACs are counted.
GIVEN = Point(kind="float32")  # The model as it was given.
FIRST = (
    Point(kind="int8"),
    Point(kind="dynamic"),
    Point(kind="float16"),
    Point(0.5, kind="int8"),
    Point(0.5, kind="qat"),
    Point(0.5, sparsity=0.5, kind="int8"),
    Point(0.75, kind="int8"),
    Point(0.25, kind="int8"),
    Point(0.5, uneven=True, kind="int8"),
    Point(sparsity=0.7, kind="int8"),
    Point(clusters=16, kind="int8"),
)


def rungs_of(epochs: int) -> list[int]:
    """Returns how many epochs a candidate gets before it is judged: a ninth, a third and all of them."""
    return sorted({max(1, round(epochs / REDUCTION**power)) for power in range(3)})


class Proposer:
    """Decides what to try next.

    Whoever knows more may change at any time what these say: `rungs`, the numbers of epochs that a candidate is trained
    for, one after the other while it is worth it, of which the last one is all; `begins`, whether points of `FIRST`
    that have to be trained still come before what is expected of the model; `price`, what a point with so many epochs
    costs; and `left`, what there is to spend.

    Args:
        baseline: the given model's own file.
        budget: the limits and the objective.
        epochs: of fine-tuning behind the first step, at most; a third and a ninth of it come before.
        structure: what shrinking alone makes of the model at a point; None where it cannot be done.
        kinds: that points may have.
    """

    def __init__(
        self,
        baseline: Candidate,
        budget: BudgetConfig,
        epochs: int,
        structure: Callable[[Point], Structure | None],
        kinds: Sequence[str] = space.KINDS,
    ) -> None:
        self.baseline, self.budget, self.structure, self.kinds = baseline, budget, structure, kinds
        self.rungs, self.begins = rungs_of(epochs), True
        self.price: Callable[[Point, int], float] = lambda point, epochs: IN_EPOCHS.of(epochs)
        self.left = math.inf
        self.rejected: dict[str, str] = {}

    def next(self, trials: Sequence[Trial], finish: bool = False) -> Decision | None:
        """Returns the next decision; None when there is nothing left that could help.

        Args:
            trials: what has been tried, in order.
            finish: whether to give what is most promising all epochs now, and to begin nothing new.
        """
        surrogate = Surrogate(self.baseline, trials, self.rungs[-1])
        if finish:
            return self._finished(trials, surrogate)
        made = [trial.candidate for trial in trials]
        frontier = len(trials) % FRONTIER_EVERY == FRONTIER_EVERY - 1
        judges = [Judge(self.baseline, self.budget, made, which) for which in (frontier, not frontier)]
        estimates = Estimates(list(self._files(trials)))
        return (
            self._started(trials, estimates, surrogate, judges)
            or self._promoted(trials, surrogate, judges[0])
            or self._proposed(trials, estimates, surrogate, judges)
        )

    def _started(
        self, trials: Sequence[Trial], estimates: Estimates, surrogate: Surrogate, judges: Sequence[Judge]
    ) -> Decision | None:
        """Returns a point that every search begins with; one that trains only where a judge expects anything of it."""
        known = {trial.point for trial in trials}
        for point in FIRST:
            if point in known or point.kind not in self.kinds or (point.trains and not self.begins):
                continue
            may = self._possible(point, estimates) or self._is_measure(point, trials)
            if not may or not self._is_affordable(point):
                continue
            guesses = self._guesses([point], estimates, surrogate)
            if not point.trains or any(judge.worths(guesses)[0] > LEAST_WORTH for judge in judges):
                return Decision("start", point, self._first_epochs(point))
        return None

    def _is_measure(self, point: Point, trials: Sequence[Trial]) -> bool:
        """Returns whether a point is made though it breaks a limit: the first one, so that there is a measure."""
        return not trials and not point.trains and self.structure(point) is not None

    def _first_epochs(self, point: Point) -> int:
        """Returns how many epochs a point begins with: the most that cost little more than the least."""
        if not point.trains:
            return 0
        least = self.price(point, self.rungs[0])
        return max(epochs for epochs in self.rungs if self.price(point, epochs) <= SPARED * least)

    def _is_affordable(self, point: Point) -> bool:
        return self.price(point, self.rungs[-1] if point.trains else 0) <= self.left

    def _promoted(self, trials: Sequence[Trial], surrogate: Surrogate, judge: Judge) -> Decision | None:
        reached = _most_epochs(trials)
        for rung in sorted({trial.epochs for trial in trials if trial.point.trains}, reverse=True):
            more = next((each for each in self.rungs if each > rung), None)
            if more is None:
                continue
            there = [trial for trial in trials if trial.epochs == rung and trial.tells]
            guesses = [self._of_trial(trial, surrogate) for trial in there]
            order = _by_worth(guesses, judge)
            for worth, one in order[: len(order) // REDUCTION]:
                affordable = self.price(one.point, more) <= self.left
                if reached[one.point] == rung and affordable and worth > LEAST_WORTH:
                    return Decision("promote", one.point, more, _told(one))
        return None

    def _finished(self, trials: Sequence[Trial], surrogate: Surrogate) -> Decision | None:
        """Returns what to train to the end: one that may beat the best, the best, or one for the frontier."""
        reached = _most_epochs(trials)
        below = [
            self._of_trial(trial, surrogate)
            for trial in trials
            if trial.point.trains and trial.tells
            and trial.epochs == reached[trial.point] < self.rungs[-1] and self._is_affordable(trial.point)
        ]  # fmt: skip
        made = [trial.candidate for trial in trials]
        chosen = limits.choose(made, self.baseline, self.budget)
        points = {trial.point for trial in trials if trial.candidate.name == chosen}
        best = (
            self._most_worth(below, Judge(self.baseline, self.budget, made, frontier=False))
            or next((one for one in below if one.point in points), None)
            or self._most_worth(below, Judge(self.baseline, self.budget, made, frontier=True))
        )
        return Decision("finish", best.point, self.rungs[-1], _told(best)) if best else None

    def _most_worth(self, guesses: Sequence[Guess], judge: Judge) -> Guess | None:
        worth, best = next(iter(_by_worth(guesses, judge)), (0.0, None))
        return best if worth > LEAST_WORTH else None

    def _proposed(
        self, trials: Sequence[Trial], estimates: Estimates, surrogate: Surrogate, judges: Sequence[Judge]
    ) -> Decision | None:
        """Returns the new point that is worth most for its price by the first judge that expects anything of any."""
        known, pool = {trial.point for trial in trials}, set(space.points())
        for trial in trials:
            if not trial.candidate.failure and trial.point.trains:
                pool |= set(space.neighbours(trial.point))
        new = [
            one for one in sorted(pool - known) if one.trains and one.kind in self.kinds and self._is_affordable(one)
        ]
        made = {self._made_of(point) for point in known}
        possible = [one for one in new if self._possible(one, estimates) and self._made_of(one) not in made]
        if not possible:
            return None if any(trial.point.trains for trial in trials) else self._nearest(new, estimates, surrogate)
        guesses = self._guesses(possible, estimates, surrogate)
        for judge in judges:
            worth = [each for each in zip(judge.worths(guesses), guesses, strict=True) if each[0] > LEAST_WORTH]
            if worth:
                best = min(
                    worth, key=lambda each: (-each[0] / self.price(each[1].point, self.rungs[-1]), each[1].point)
                )[1]
                return Decision("propose", best.point, self._first_epochs(best.point), _told(best))
        return None

    def _nearest(self, points: Sequence[Point], estimates: Estimates, surrogate: Surrogate) -> Decision | None:
        """Returns what is expected to break the limits least, where nothing keeps them: once, to say what would do."""
        able = [one for one in points if self.structure(one) is not None]
        if not able:
            return None
        guesses = self._guesses(able, estimates, surrogate)

        def outside(guess: Guess) -> float:
            return limits.excess(limits.broken_limits(guess.candidate, self.baseline, self.budget))

        best = min(guesses, key=lambda guess: (outside(guess), -(guess.candidate.value or 0.0), guess.point))
        self.rejected.pop(best.point.name, None)
        return Decision("propose", best.point, self.rungs[-1], _told(best))

    def _made_of(self, point: Point) -> tuple[Any, ...]:
        """Returns what tells a point from others: ratios between which no group loses another channel are one."""
        return self.structure(point), dataclasses.replace(point, ratio=0.0)

    def _of_trial(self, trial: Trial, surrogate: Surrogate) -> Guess:
        (drop,), (spread,) = surrogate.predict([(trial.point, self.rungs[-1])])
        metric = {**trial.candidate.metric, "value": (self.baseline.value or 0.0) - drop}
        return Guess(trial.point, dataclasses.replace(trial.candidate, metric=metric), spread)

    def _guesses(self, points: Sequence[Point], estimates: Estimates, surrogate: Surrogate) -> list[Guess]:
        """Returns what is expected of possible points with all epochs."""
        drops, spreads = surrogate.predict([(one, self.rungs[-1]) for one in points])
        return [
            self._guess(one, estimates.of(one, self._structure(one)), drop, spread)
            for one, drop, spread in zip(points, drops, spreads, strict=True)
        ]

    def _guess(self, point: Point, expected: Estimate, drop: float, spread: float) -> Guess:
        ratio, before = expected.latency_ratio, self.baseline.latency_ms
        timed = self.baseline.latency_ms is not None
        candidate = Candidate(
            point.name,
            metric={**self.baseline.metric, "value": (self.baseline.value or 0.0) - drop},
            size_bytes=round(expected.size_bytes),
            gzip_bytes=round(expected.gzip_bytes),
            latency_ratio=ratio if timed else None,
            latency_ms=None if before is None else before * ratio,
            macs=expected.macs,
            peak_memory_bytes=self.baseline.peak_memory_bytes,
        )
        return Guess(point, candidate, spread)

    def _structure(self, point: Point) -> Structure:
        found = self.structure(point)
        if found is None:
            raise ValueError(f"{point} was not checked")
        return found

    def _possible(self, point: Point, estimates: Estimates) -> bool:
        """Returns whether a point can be made and may keep the limits of size and MACs; else its reason is noted."""
        structure = self.structure(point)
        if structure is None:
            self.rejected.setdefault(point.name, "the model cannot spare as many channels")
            return False
        expected = estimates.of(point, structure)
        figures = {"max_size_kb": expected.size_bytes, "max_gzip_kb": expected.gzip_bytes, "max_macs": expected.macs}
        for limit, value in figures.items():
            allowed, unit = getattr(self.budget, limit), limits.UPPER[limit][1]
            spare = 1.0 if limit == "max_macs" else SPARE
            if allowed is not None and value is not None and value > allowed * unit * spare:
                self.rejected[point.name] = f"--{limit}={allowed:g}: about {value / unit:,.1f} expected"
                return False
        self.rejected.pop(point.name, None)
        return True

    def _files(self, trials: Sequence[Trial]) -> Iterator[Measured]:
        """Yields what is known of files: those of trials, and the given model's own."""
        for point, one in [(GIVEN, self.baseline), *((trial.point, trial.candidate) for trial in trials)]:
            made = self.structure(point)
            if not one.failure and made and one.size_bytes and one.gzip_bytes:
                yield Measured(point, made, one.size_bytes, one.gzip_bytes, one.latency_ratio)


def _most_epochs(trials: Sequence[Trial]) -> dict[Point, int]:
    most: dict[Point, int] = {}
    for trial in trials:
        most[trial.point] = max(most.get(trial.point, 0), trial.epochs)
    return most


def _by_worth(guesses: Sequence[Guess], judge: Judge) -> list[tuple[float, Guess]]:
    """Returns (worth, guess), what is worth most first."""
    return sorted(zip(judge.worths(guesses), guesses, strict=True), key=lambda each: (-each[0], each[1].point))


def _told(guess: Guess) -> dict[str, Any]:
    one = guess.candidate
    return {
        "metric": round(one.value or 0.0, 5),
        "spread": round(guess.spread, 5),
        "gzip_bytes": one.gzip_bytes,
        "latency_ratio": None if one.latency_ratio is None else round(one.latency_ratio, 4),
    }
