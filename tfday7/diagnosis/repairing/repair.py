"""Repairs a run: tries remedies one at a time on top of those that have helped, and keeps what training proves.

The likeliest remedies are trained with the run's seed, three of them at a time; for the best of them that looks better,
further seeds decide (`racing`). What is kept becomes the run that is diagnosed next, as faults come in pairs. When no
remedy helps any more, the two that came nearest are tried together. Knows nothing of how a training is done: it is
given a function.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from tfday7.core.errors import UserError
from tfday7.diagnosis.diagnosing import judge
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import Diagnosis
from tfday7.diagnosis.repairing import racing, reasons
from tfday7.diagnosis.repairing.budget import Budget, BudgetSpentError
from tfday7.diagnosis.repairing.candidates import Remedy, applied, candidates, difference
from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.diagnosis.repairing.odd_settings import odd
from tfday7.diagnosis.repairing.reasons import Reason
from tfday7.diagnosis.repairing.trained import OUT_OF_TIME, Trained, Trials, Weights

Flags = Mapping[str, str]
TOGETHER, ODD = "repair.together", "repair.odd"
SCREENED = 3  # Remedies of which the best is confirmed; odd settings are put back one by one, as they rarely mislead.


class Train(Protocol):
    """See `retraining.Retrainer`."""

    def __call__(self, flags: Flags, seed: int, give_up: bool, seconds: float) -> tuple[Trained, Weights]:
        """Trains once."""


@dataclasses.dataclass
class Candidate:
    """Flags, and how they trained with each seed.

    Attributes:
        flags: of the whole run, canonical.
        trained: seed -> how it ended.
        remedy: what made it of the run before, and by which change.
        reasons: why it was kept or not.
    """

    flags: dict[str, str]
    trained: dict[int, Trained] = dataclasses.field(default_factory=dict)
    remedy: str = ""
    change: dict[str, str] = dataclasses.field(default_factory=dict)
    kept: bool = False
    reasons: list[Reason] = dataclasses.field(default_factory=list)
    open: bool = False  # It looked better, but another one was kept before more seeds had decided.


@dataclasses.dataclass(frozen=True)
class Start:
    """The run that is to be repaired.

    Attributes:
        evidence: of it, with its flags complete and canonical.
        trained: how it ended, with its own seed.
        advised: flags of the optimizer that the advisor chooses.
        train_examples: size of the training split.
        guess: the metric of always guessing, which a training without a result counts as.
    """

    evidence: Evidence
    trained: Trained
    advised: Flags
    train_examples: int
    guess: float


class Repair:
    """One repair.

    Args:
        start: the run.
        train: trains once.
        trials: where trainings are kept.
        config: the budget. Trainings that an earlier call has kept count as if they had just been made.
        say: told of each training in a sentence.
    """

    def __init__(
        self, start: Start, train: Train, trials: Trials, config: FixConfig, say: Callable[[str], Any]
    ) -> None:
        self.start, self.train, self.trials, self.say = start, train, trials, say
        self.budget = Budget(config, start.trained)
        flags = dict(start.evidence.flags)
        self.seed = int(flags.get("seed") or 0)
        self.seeds = [self.seed + index for index in range(racing.SEEDS)]
        self.original = Candidate(flags, {self.seed: start.trained})
        self.current = self.original
        self.attempts: list[Candidate] = []
        self.finest = racing.resolution(start.evidence.validation_examples)

    def run(self) -> None:
        """Tries remedies until none is left or the budget is spent; the result is in the attributes.

        Raises:
            Interrupted: a signal. The same repair goes on from what has ended.
        """
        verdict, rejected = "", list[dict[str, str]]()
        try:
            while True:
                evidence = self._evidence()
                diagnosis = judge(evidence)
                if self._is_sound(diagnosis, evidence):
                    return self.say(f"fix: {diagnosis.verdict} with {_words(self._changes(self.current))}")
                rejected = rejected if diagnosis.verdict == verdict else []
                verdict = diagnosis.verdict
                found = candidates(diagnosis, evidence, self.start.advised, self.start.train_examples)
                if not self._try_all([remedy for remedy in found if remedy.flags not in rejected]):
                    return None
                rejected += [each.change for each in self.attempts if not each.kept and not each.open]
        except BudgetSpentError:
            self.say("fix: the budget is spent")

    def _is_sound(self, diagnosis: Diagnosis, evidence: Evidence) -> bool:
        """Returns whether nothing is left to be repaired: a good fit, odd in nothing, no worse than simple methods."""
        references = evidence.health.references
        best = references.best if references else None
        nothing_odd = not list(odd(evidence.flags, self.start.train_examples))
        reached = best is not None and (evidence.validation_score or 0.0) >= best
        return self.current is not self.original and diagnosis.verdict == "good_fit" and nothing_odd and reached

    def _try_all(self, remedies: list[Remedy]) -> bool:
        """Tries remedies until one is kept; returns whether one was."""
        tried = len(self.attempts)
        alone = [[remedy] for remedy in remedies if remedy.id.startswith(ODD)]
        others = [remedy for remedy in remedies if not remedy.id.startswith(ODD)]
        groups = [*alone, *(others[index : index + SCREENED] for index in range(0, len(others), SCREENED))]
        if any(self._try_best(group) for group in groups):
            return True
        return any(self._try_best([remedy]) for remedy in self._pair(self.attempts[tried:]))

    def _try_best(self, remedies: list[Remedy]) -> bool:
        """Screens remedies and keeps the best of them that is proven; returns whether one is."""
        promising, spent = list[Candidate](), None
        try:
            for remedy in remedies:
                attempt = self._screened(remedy)
                if attempt is not None and attempt.open:
                    promising.append(attempt)
        except BudgetSpentError as error:
            spent = error
        for attempt in sorted(promising, key=self._first_value, reverse=True):
            if self._race(attempt):
                break
        for attempt in promising:
            if attempt.open:
                attempt.reasons.append(Reason("beaten"))
            if attempt is not self.current:
                self.trials.forget_weights(attempt.flags, self.seed)
        if spent is not None and self.current not in promising:
            raise spent
        return self.current in promising

    def _pair(self, attempts: list[Candidate]) -> Iterator[Remedy]:
        """Yields the two attempts that came nearest, together, where they change different things."""
        trained = [each for each in attempts if self.seed in each.trained and each.trained[self.seed].value is not None]
        nearest = sorted(trained, key=self._first_value, reverse=True)[:2]
        lowest = self._first_value(self.current) - self.finest
        if len(nearest) == 2 and all(self._first_value(each) >= lowest for each in nearest):
            one, other = (each.change for each in nearest)
            if not one.keys() & other.keys():
                yield Remedy(TOGETHER, {**one, **other})

    def _screened(self, remedy: Remedy) -> Candidate | None:
        """Trains with a remedy on top of what is kept, with the run's seed; None where that has been tried."""
        attempt = Candidate({}, remedy=remedy.id, change=remedy.flags)
        try:
            attempt.flags = applied(self.current.flags, remedy.flags)
        except UserError as error:
            attempt.reasons = [Reason("", error.message)]
            self.attempts.append(attempt)
            return attempt
        if self._is_known(attempt):
            return None
        self._reserve(attempt)
        if not self._is_kept(attempt) and not self.budget.has_time_for(int(attempt.flags["epochs"])):
            attempt.reasons = [Reason("too_long")]
            self.attempts.append(attempt)
            return attempt
        self._train(attempt, self.seed)
        self.attempts.append(attempt)
        attempt.open = self._judge(attempt, 1) is None
        if not attempt.open:
            self.trials.forget_weights(attempt.flags, self.seed)
        return attempt

    def _race(self, attempt: Candidate) -> bool:
        """Trains an attempt and what is kept with as many seeds as it takes; keeps the attempt if it is better."""
        verdict: bool | None = None
        try:
            for seeds in range(2, racing.SEEDS + 1):
                for candidate in (attempt, self.current):
                    self._train(candidate, self.seeds[seeds - 1])
                verdict = self._judge(attempt, seeds)
                if verdict is not None:
                    break
        except BudgetSpentError:
            attempt.reasons = [Reason("undecided")]
            raise
        attempt.open, attempt.kept = False, bool(verdict)
        if attempt.kept:
            self.trials.forget_weights(self.current.flags, self.seed)
            self.current = attempt
        return attempt.kept

    def _judge(self, attempt: Candidate, seeds: int) -> bool | None:
        """Returns what so many seeds say of an attempt, and notes it."""
        after, before = self._values(attempt)[:seeds], self._values(self.current)[:seeds]
        gain = statistics.fmean(after) - statistics.fmean(before)
        first = attempt.trained[self.seed]
        attempt.reasons = [reasons.of_failed(first)] if first.reason else self._gained(attempt, gain, seeds)
        return racing.improves(after, before, self.finest)

    def _gained(self, attempt: Candidate, gain: float, seeds: int) -> list[Reason]:
        """Returns what a gain is, and of what: values may have been raised to guessing, and another remedy be kept."""
        guess, both = self.start.guess, (attempt, self.current)
        values = [each.trained[seed].value for each in both for seed in self.seeds[:seeds]]
        raised = any(value is None or value < guess for value in values)
        if raised and all(value is None or value <= guess for value in values[:seeds]):
            return [Reason("guessing", values={"guess": guess})]
        found = [Reason("gain_seeds" if seeds > 1 else "gain", values={"gain": gain, "seeds": seeds})]
        if self.current is not self.original:
            found.append(Reason("over_kept"))
        if raised:
            found.append(Reason("raised", values={"guess": guess}))
        return found

    def _train(self, candidate: Candidate, seed: int) -> None:
        """Trains a candidate with a seed, unless that has been done; raises BudgetSpentError where it may not."""
        if seed in candidate.trained:
            return
        trained = self.trials.find(candidate.flags, seed)
        if trained is None:
            self.budget.check(trainings=1)
            if not self.budget.has_time_for(int(candidate.flags["epochs"])):
                raise BudgetSpentError
            give_up = candidate is not self.original  # What is delivered today was not given up either.
            trained, weights = self.train(candidate.flags, seed, give_up, self.budget.seconds_left())
            if trained.reason == OUT_OF_TIME:
                raise BudgetSpentError
            if weights and seed == self.seed:
                self.trials.keep_weights(candidate.flags, seed, weights)
            self.trials.keep(candidate.flags, seed, trained)
        self.budget.spend(trained)
        candidate.trained[seed] = trained
        ended = f"{trained.value:.4f}" if trained.value is not None else trained.reason
        changes = _words(self._changes(candidate))
        self.say(f"fix: {self.start.evidence.metric} {ended}  seed {seed}  {changes}  {trained.seconds:.1f} s")

    def _reserve(self, attempt: Candidate) -> None:
        """Raises BudgetSpentError unless another training can be made, and one more with a second seed."""
        self.budget.check(sum(seed not in each.trained for each in (attempt, self.current) for seed in self.seeds[:2]))
        if not self._is_kept(attempt) and not self.budget.has_time_for(int(self.original.flags["epochs"])):
            raise BudgetSpentError

    def _is_kept(self, attempt: Candidate) -> bool:
        """Returns whether an earlier call has trained an attempt."""
        return self.trials.find(attempt.flags, self.seed) is not None

    def _evidence(self) -> Evidence:
        """Returns the evidence on what is kept; the layers were probed in the original run alone."""
        if self.current is self.original:
            return self.start.evidence
        trained = self.current.trained[self.seed]
        return dataclasses.replace(
            self.start.evidence,
            loss=np.array(trained.loss, np.float64),
            val_loss=np.array(trained.val_loss, np.float64),
            train_score=trained.train_score,
            validation_score=trained.value,
            train_metric=np.zeros(0),  # Those of the original run are not this one's.
            validation_metric=np.zeros(0),
            class_recall=(),
            stopped=trained.stopped,
            flags=dict(self.current.flags),
            health=dataclasses.replace(self.start.evidence.health, probes=()),
        )

    def _is_known(self, attempt: Candidate) -> bool:
        known = (self.original, self.current, *self.attempts)
        return any(attempt.flags == each.flags for each in known)

    def _changes(self, candidate: Candidate) -> dict[str, str]:
        return difference(self.original.flags, candidate.flags) if candidate.flags else candidate.change

    def _values(self, candidate: Candidate) -> list[float]:
        """Returns the value of each seed in order; without a result, or worse than guessing, it counts as guessing.

        R² has no lowest value: how badly runs fail would otherwise hide that they no longer do.
        """
        guess = self.start.guess
        values = [candidate.trained[seed].value for seed in self.seeds if seed in candidate.trained]
        return [guess if value is None else max(value, guess) for value in values]

    def _first_value(self, candidate: Candidate) -> float:
        return self._values(candidate)[0]

    def weights(self) -> Weights:
        """Returns the weights of what is kept, with the run's seed; trains it again where they have been lost."""
        weights = self.trials.weights(self.current.flags, self.seed)
        if weights is None:
            _, weights = self.train(self.current.flags, self.seed, False, math.inf)
            self.trials.keep_weights(self.current.flags, self.seed, weights)
        return weights

    def record(self) -> dict[str, Any]:
        """Returns what fix.json says of it, without the scores on the test split."""
        measured = (each.value for each in self.original.trained.values())
        before = [value for value in measured if value is not None]  # Of those that failed nothing is known.
        return {
            "metric": self.start.evidence.metric,
            "seeds": sorted({seed for each in (self.original, *self.attempts) for seed in each.trained}),
            "guess": self.start.guess,
            "spread": statistics.stdev(before) if len(before) > 1 else None,
            "before": self._trial(self.original),
            "attempts": [
                {**self._trial(each), "remedy": each.remedy, "kept": each.kept, **reasons.record(each.reasons)}
                for each in self.attempts
            ],
            "after": None if self.current is self.original else self._trial(self.current),
            "seconds": round(self.budget.seconds, 3),
            "trainings": self.budget.trainings,
            "budget_minutes": self.budget.config.fix_budget_minutes,
        }

    def _trial(self, candidate: Candidate) -> dict[str, Any]:
        by_seed = [candidate.trained[seed].value for seed in self.seeds if seed in candidate.trained]
        known = [value for value in by_seed if value is not None]
        value = statistics.fmean(known) if len(known) == len(by_seed) > 0 else None
        return {"flags": self._changes(candidate), "value": value, "by_seed": by_seed}


def _words(flags: Flags) -> str:
    """Returns flags for people; "the run's own flags" for none."""
    said = [f"{name}={value}" if value else f"{name} left out" for name, value in flags.items()]
    return ", ".join(said) or "the run's own flags"
