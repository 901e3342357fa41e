"""Searches for the best artefact within a budget, and keeps a log that can be continued and replayed.

The given model's own file is made first; then each group's cost is measured; then one candidate follows the other:
decided (`proposing`), made and scored on validation, timed beside the given model's file, and logged. What ends a
search is its time or its number of candidates, of which the last part goes to what is most promising. Nothing of the
test split is looked at. Other processes may join: they make candidates, and the first one concludes.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfday7.compression import compressing, limits
from tfday7.compression.compressing import Compression
from tfday7.compression.config import BudgetConfig, SearchConfig
from tfday7.compression.recipe import Recipe
from tfday7.compression.records import BASELINE, Candidate, from_json, with_frontier
from tfday7.compression.search import groups, space
from tfday7.compression.search.costs import (
    Beginnings,
    Cost,
    Costs,
    Entry,
    Price,
    beginnings,
    same_epochs,
    tells_epochs,
    trained,
)
from tfday7.compression.search.decisions import Decision, Trial
from tfday7.compression.search.estimates import Structure
from tfday7.compression.search.group_timing import GroupTimer
from tfday7.compression.search.log import Claim, Log, rejected, to_json, trials, used_seconds
from tfday7.compression.search.proposing import Proposer, rungs_of
from tfday7.compression.search.space import Point
from tfday7.compression.timing import timed
from tfday7.core import files, records
from tfday7.core.errors import UserError, WorkerLostError

GROUPS = "groups.json"
FINISHING = 0.3  # Of time or candidates: then what is promising is trained to the end before anything new begins.
DELIVERY_SECONDS = 15.0  # Kept for measuring and scoring at the end, at least.
PROBING = 1 / 16  # Of the time, at most, for judging what each group of channels is worth; for timing it, as much.
GLANCE = 1 / 6  # Of the time for measuring a file that is delivered: what a candidate gets.
FEW = 20  # Candidates with all epochs for which the whole time would do, at least, to begin with fewer epochs.
STARTING = 0.3  # Of the time: until then it begins with the points that every search begins with.
POLL_SECONDS = 0.5  # Between two looks at what other processes still make.
MAX_FAILURES = 8  # In a row: then something is wrong with more than the candidates.


@dataclasses.dataclass
class Search:
    """A search on a model.

    Attributes:
        job: makes and measures candidates.
        budget, config: what is asked for.
        seconds: for measuring each file that is delivered; None measures no time, and then MACs stand for it.
    """

    job: Compression
    budget: BudgetConfig
    config: SearchConfig
    seconds: float | None = 3.0

    def __post_init__(self) -> None:
        self.folder: Path = self.job.folder
        self.log = Log(self.folder, self._key())
        self._structures: dict[tuple[float, bool], tuple[Structure | None, dict[str, int] | None]] = {}
        self._steps_of: dict[tuple[Point, int], Beginnings] = {}
        self._costs: list[groups.GroupCost] | None = None
        self._an_epoch: float | None = None
        self._told: dict[str, str] = {}  # Why points are left out, as far as the log has it.

    def run(self) -> dict[str, Any]:
        """Returns the record of compression.json, without what the caller knows better.

        Raises:
            UserError: the model or the data cannot be read, or no candidate can be made of them.
            Interrupted: a signal; the same call goes on behind the last whole candidate.
        """
        with self.log.led():
            return self._run()

    def _run(self) -> dict[str, Any]:
        started = time.time()
        baseline = self._measured_alone(self.job.baseline())
        self._group_costs()
        spent = used_seconds(self.log.read())
        end = started + self.config.minutes * 60.0 - spent
        tried = self.log.begin(None if end == float("inf") else end)
        if tried:
            self.job.say(f"going on behind candidate {len(tried)}")
        self._work(baseline, 0)
        while not self.log.is_quiet():
            time.sleep(POLL_SECONDS)
        return self._concluded(baseline, self.log.read(), spent + time.time() - started)

    def can_join(self) -> bool:
        """Returns whether another process makes this very search, so that `join` can help it."""
        begun = self.log.is_there() and self.log.is_led() and self.log.until() > time.time()
        return begun and (self.folder / BASELINE / compressing.RECORD).exists()

    def join(self) -> int:
        """Makes candidates for the process that makes this search, which concludes it; returns how many.

        Raises:
            UserError: as of `run`.
            WorkerLostError: that process has ended without concluding it.
            Interrupted: a signal; the candidate in work is left to others.
        """
        path = self.folder / BASELINE / compressing.RECORD
        made = self._work(self._measured_alone(from_json(files.read_json(path), str(path))), os.getpid())
        if self.log.is_deserted():
            raise WorkerLostError(
                f"made {made} candidates, but the process that was to conclude the search has ended",
                "give the same command again: it goes on from the log, and concludes",
            )
        return made

    def _work(self, baseline: Candidate, worker: int) -> int:
        """Makes one candidate after the other until nothing is left to do, and returns how many."""
        self.proposer = Proposer(
            baseline, self.budget, self.config.search_epochs, self.structure, space.kinds(self.job.format)
        )
        if self.config.minutes != float("inf") and not tells_epochs(self.log.read()):
            self._an_epoch = self._epoch_seconds()
        self.proposer.rejected = rejected(self.log.read(), {})
        self._told = dict(self.proposer.rejected)
        failures, number = 0, 0
        while True:
            deciding = time.monotonic()
            claim = self.log.claim(lambda log, pending: self._decide(log, self.log.until() - time.time(), pending))
            if claim is None:
                return number
            made = time.monotonic()
            try:
                entry = self._carried_out(claim, baseline)
                entry |= {"worker": worker, "seconds": {**entry["seconds"], "deciding": round(made - deciding, 3)}}
                entry["rejected"] = self._newly_rejected()
                self.log.add(claim, entry)
            finally:
                claim.release()
            number += 1
            failures = failures + 1 if entry["candidate"]["failure"] else 0
            if failures == MAX_FAILURES:
                raise UserError(
                    f"{failures} candidates in a row could not be made; the last: {entry['candidate']['failure']}",
                    f"{self.folder / entry['candidate']['name'] / 'failure.txt'} has more",
                )

    def _newly_rejected(self) -> dict[str, str | None]:
        """Returns why points are left out since it was last told; None for one that no longer is."""
        now, before = self.proposer.rejected, self._told
        self._told = dict(now)
        limit = {name: str(now.get(name)).partition(":")[0] for name in {*now, *before}}  # Estimates move all the time.
        changed = sorted(name for name in limit if limit[name] != str(before.get(name)).partition(":")[0])
        return {name: now.get(name) for name in changed}

    def _decide(self, log: Sequence[Entry], left: float, pending: Sequence[Trial] = ()) -> Decision | None:
        """Returns the next decision; None when time, candidates or ideas have run out.

        Args:
            log: what was tried.
            left: seconds of the search's time.
            pending: what other processes are making.
        """
        most, known = self.config.max_candidates, [*trials(log), *pending]
        if most is not None and len(known) >= most:
            return None
        total = self.config.minutes * 60.0
        last = most is not None and len(known) >= most - max(1, round(most * FINISHING))
        finishing = last or left < total * FINISHING
        left -= self._ending(log)
        if left <= 0:
            return None
        self._pace(log, left, pending)
        decision = self.proposer.next(known, finishing and bool(log))
        if decision is None and finishing:  # All that is worth it has all epochs; what is new gets them at once.
            self.proposer.rungs = self.proposer.rungs[-1:]
            decision = self.proposer.next(known)
        return decision

    def _pace(self, log: Sequence[Entry], left: float, pending: Sequence[Trial] = ()) -> None:
        """Tells the proposer what candidates cost, what there is to spend, and how to begin.

        Where the time allows but few candidates with all epochs, nothing begins with fewer of them, as what those show
        could not be followed, and all of it goes to what is expected of the model instead of to the points that every
        search begins with. Where time decides nothing, as a rerun has to give the same choice, epochs are what counts.
        """
        rungs, total = rungs_of(self.config.search_epochs), self.config.minutes * 60.0
        guess = self._guessed(log) if total != float("inf") else None
        known = Costs(log, guess).of()
        in_seconds = known is not None and total != float("inf")
        self.proposer.rungs, self.proposer.begins = rungs, True
        if in_seconds and known is not None:
            few = total < FEW * known.of(rungs[-1])
            begun = [*(entry["decision"]["epochs"] for entry in trained(log)), *(trial.epochs for trial in pending)]
            if few:
                self.proposer.rungs = [same_epochs(rungs, begun, known, left)]
            self.proposer.begins = not few and used_seconds(log) < total * STARTING
        self.proposer.price = Price(log, self._steps, in_seconds, guess)
        self.proposer.left = left if in_seconds else float("inf")

    def _guessed(self, log: Sequence[Entry]) -> Cost | None:
        """Returns what a candidate is expected to cost before one was trained."""
        fixed = [sum(entry["seconds"].values()) for entry in log if not entry["decision"]["epochs"]]
        return None if self._an_epoch is None else Cost(max(fixed, default=0.0), self._an_epoch)

    def _epoch_seconds(self) -> float:
        """Returns what an epoch of the given model takes, by some of its steps: by one, where that takes long."""
        from tfday7.compression.finetuning import copied
        from tfday7.data.pipeline import steps_per_epoch
        from tfday7.training import step_time

        job = self.job
        singly = dataclasses.replace(job.training, checkpoint_steps=1)  # Else it takes several steps at once.
        step_ms = step_time.measure(copied(job.model), job.dataset, job.optimizer, singly)
        return step_ms / 1000.0 * steps_per_epoch(job.dataset.train, job.training.batch_size)

    def _steps(self, point: Point, epochs: int) -> Beginnings:
        if (point, epochs) not in self._steps_of:
            steps = [step.to_json() for step in self._recipe(point, epochs).steps]
            self._steps_of[point, epochs] = beginnings(steps)
        return self._steps_of[point, epochs]

    def _recipe(self, point: Point, epochs: int) -> Recipe:
        """Returns a point's recipe; zeros are left out where it is the file's own size that counts."""
        sparse = self.budget.max_size_kb is not None or self.budget.objective == "size"
        return space.recipe(point, epochs, self._structure(point)[1], sparse)

    def _ending(self, log: Sequence[Entry]) -> float:
        """Returns what is kept for the end, in seconds: the frontier is timed, exported again and scored on test."""
        fixed = [sum(entry["seconds"].values()) for entry in log if not entry["decision"]["epochs"]]
        delivered = 2 + sum(one.pareto for one in with_frontier([trial.candidate for trial in trials(log)]))
        made = statistics.median(fixed) if fixed else 0.0
        return max(DELIVERY_SECONDS, delivered * (made + (self.seconds or 0.0)))

    def _carried_out(self, claim: Claim, baseline: Candidate) -> Entry:
        decision, number = claim.decision, claim.number
        recipe = self._recipe(decision.point, decision.epochs)
        self.job.say(f"candidate {number}, {decision.why}: {recipe.name}")
        started = time.monotonic()
        candidate = compressing.attempt(self.job, recipe)
        made = time.monotonic()
        if not candidate.failure and self.seconds is not None:
            _, candidate = timed(self.job, [baseline, candidate], self.seconds * GLANCE)
        seconds = {"making": round(made - started, 3), "measuring": round(time.monotonic() - made, 3)}
        self._say_result(candidate, baseline)
        return {"number": number, "decision": to_json(decision), "candidate": candidate.to_json(), "seconds": seconds}

    def _say_result(self, one: Candidate, baseline: Candidate) -> None:
        if one.failure:
            return self.job.say(f"  {one.failure}")
        broken = limits.broken_limits(one, baseline, self.budget)
        ratio = "" if one.latency_ratio is None else f", {one.latency_ratio:.2f}x"
        outside = f"; outside of {', '.join('--' + each.limit for each in broken)}" if broken else ""
        packed = f"{(one.gzip_bytes or 0) / 1000:,.1f} kB packed"
        self.job.say(f"  {one.metric['name']} {one.value or 0:.4f}, {packed}{ratio}{outside}")

    def _measured_alone(self, baseline: Candidate) -> Candidate:
        if self.seconds is None:
            return baseline
        return timed(self.job, [baseline], self.seconds * GLANCE)[0]

    def structure(self, point: Point) -> Structure | None:
        """Returns what shrinking alone makes of the model at a point; None where it cannot spare as many channels."""
        return self._structure(point)[0]

    def _structure(self, point: Point) -> tuple[Structure | None, dict[str, int] | None]:
        key = (point.ratio, point.uneven)
        if key not in self._structures:
            self._structures[key] = self._planned(*key)
        return self._structures[key]

    def _planned(self, ratio: float, uneven: bool) -> tuple[Structure | None, dict[str, int] | None]:
        from tfday7.compression import shrink
        from tfday7.models.describe import describe

        model, seed = self.job.model, self.job.training.seed
        if not ratio:
            whole = describe(model)
            macs = None if whole.macs is None else (whole.macs, whole.macs)
            return Structure((whole.parameters, whole.parameters), macs), None
        try:
            even = shrink.plan(model, ratio=ratio, seed=seed)
            if not uneven:
                return Structure(even.parameters, even.macs), None
            costs = self._group_costs()
            if len(costs) < 2 or any("," in one.name for one in costs):  # A recipe lists groups with commas.
                return None, None

            def allowed(counts: dict[str, int]) -> bool:
                plan = shrink.plan(model, counts=counts, seed=seed)
                if plan.macs is None or even.macs is None:
                    return bool(plan.parameters[1] <= even.parameters[1])
                return bool(plan.macs[1] <= even.macs[1])

            counts = groups.allocate(costs, allowed)
            plan = shrink.plan(model, counts=counts, seed=seed)
        except UserError:  # Of a point, not of the model: `Proposer` notes why it is left out.
            return None, None
        return Structure(plan.parameters, plan.macs), counts

    def _group_costs(self) -> list[groups.GroupCost]:
        if self._costs is None:
            path, timed = self.folder / GROUPS, None if self.seconds is None else self.budget.device
            key = {"model": self.job.key_of_model(), "timed": timed, "runtime": self.job.runtime}
            record = files.read_json(path) if path.exists() else {}
            seconds = self.config.minutes * 60.0 * PROBING
            if not isinstance(record, dict) or record.get("key") != key or not _suffices(record, seconds):
                found, short = self._measured_groups(seconds)
                record = {"key": key, "short": short, "groups": [one.to_json() for one in found]}
                files.write_json(path, record)
            again = "search again with --overwrite"
            with records.understood(path, again):
                self._costs = [records.build(groups.GroupCost, one, path, again) for one in record["groups"]]
                if not all(0 < one.removed < one.channels for one in self._costs):
                    raise ValueError("a group of which none or all of the channels went")
        return self._costs

    def _measured_groups(self, seconds: float) -> tuple[list[groups.GroupCost], float | None]:
        """Returns what each group of channels is worth, judged in so many seconds and timed in as many.

        Returns:
            (the costs, the seconds where they were too few, 0 where the device failed, None where nothing is missing).
        """
        job, seed, started = self.job, self.job.training.seed, time.monotonic()
        job.say("measuring what each group of channels is worth")
        try:
            found = groups.measure(job.model, job.dataset, seed, seconds, job.say)
        except UserError as error:
            job.say(f"no channels can go: {error.message}")
            return [], None
        whole = time.monotonic() <= started + seconds
        if self.seconds is not None and found:
            try:
                found = groups.with_times(job.model, found, GroupTimer(job, self.seconds * GLANCE, seconds), seed)
            except UserError as error:
                job.say(f"what they save of the time is not known: {error.message}")
                return found, 0.0
            whole = whole and all(one.latency_saved is not None for one in found)
        return found, None if whole or seconds == float("inf") else seconds

    def _key(self) -> dict[str, Any]:
        """Returns what a log's decisions hang on: another budget decides otherwise."""
        return {
            "model": self.job.key_of_model(),
            "budget": self.budget.to_json(),
            "epochs": self.config.search_epochs,
            "max_candidates": self.config.max_candidates,
            "timed": self.seconds is not None,
        }

    def _concluded(self, baseline: Candidate, log: Sequence[Entry], seconds: float) -> dict[str, Any]:
        found = [trial.candidate for trial in trials(log)]
        marked = with_frontier([baseline, *found], limits.frontier_floor(baseline, self.budget))[1:]
        best = limits.choose(found, baseline, self.budget)
        close = limits.nearest(found, baseline, self.budget)
        again = [one.name for one in marked if one.pareto or one.name == best or one.name in close]
        record = compressing.concluded(self.job, baseline, found, self.budget, self.seconds, again)
        parts = {
            key: sum(entry["seconds"].get(key, 0.0) for entry in log) for key in ("deciding", "making", "measuring")
        }
        record["search"] = {
            "candidates": len(log),
            "seconds": round(seconds, 1),
            "overhead_share": round(parts["deciding"] / max(seconds, 1e-9), 4),
            "making_seconds": round(parts["making"], 1),
            "measuring_seconds": round(parts["measuring"], 1),
            "epochs": rungs_of(self.config.search_epochs),
            "log": [{key: value for key, value in entry.items() if key not in ("candidate", "rejected")}
                    | {"name": entry["candidate"]["name"]} for entry in log],
            "groups": [one.to_json() for one in self._group_costs()],
            "rejected": rejected(log, self._newly_rejected()),
        }  # fmt: skip
        return record


def _suffices(record: dict[str, Any], seconds: float) -> bool:
    """Returns whether measuring groups again, with so many seconds, would not tell more than a record of it."""
    short = record.get("short")
    return not isinstance(short, int | float) or short >= seconds
