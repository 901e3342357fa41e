"""The log of a search, which several processes may carry on: what was tried, and what is being made.

Whoever makes a candidate claims it first, and holds a lock on the claim's own file until it is logged: what a process
that was killed had begun is nobody's, and is decided anew. The log is read and written under a lock of its own. The
process that concludes the search holds one, too, whose file goes when it has: one that is held by nobody is left over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tfday7.compression.records import Candidate, from_json
from tfday7.compression.search import costs
from tfday7.compression.search.costs import Entry
from tfday7.compression.search.decisions import Decision, Trial
from tfday7.compression.search.space import Point
from tfday7.core import files, records
from tfday7.core.errors import UserError

LOG, LOCK, LEADER, CLAIM = "search.json", "search.lock", "leader.lock", "claim_{}.lock"
AGAIN = "search again with --overwrite"
UNDONE = "is being made"  # Of a claimed candidate: proposers leave it out, as they do what failed.


@dataclasses.dataclass(frozen=True)
class Claim:
    """A candidate that this process makes: its number, what was decided, and the file that is locked meanwhile."""

    number: int
    decision: Decision
    lock: IO[bytes]

    def release(self) -> None:
        """Lets it go; one that was not logged may be decided on again."""
        self.lock.close()


@dataclasses.dataclass(frozen=True)
class Told:
    """A claim, as the file has it."""

    number: int
    decision: Decision


@dataclasses.dataclass(frozen=True)
class _Entry(Told):
    """A candidate that was made, as the file has it; seconds by what they went to, of which worker."""

    candidate: Candidate
    seconds: dict[str, float]
    worker: int = 0
    rejected: dict[str, str | None] = dataclasses.field(default_factory=dict)


class Log:
    """See the module.

    Args:
        folder: of the search.
        key: what decisions hang on, as JSON values; a log of another key is none.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder, self.key, self.path = folder, dict(key), folder / LOG

    def is_there(self) -> bool:
        """Returns whether a process has begun a search of this key."""
        return self._record().get("until", 0) != 0

    @contextlib.contextmanager
    def led(self) -> Iterator[None]:
        """Makes this process the one that concludes the search, for as long as it takes."""
        with self._locked():
            lock = self._hold(LEADER)
        with lock:
            yield
            with self._locked():
                (self.folder / LEADER).unlink()

    def is_led(self) -> bool:
        """Returns whether a process that lives concludes the search."""
        with self._locked():
            return self._is_held(LEADER)

    def is_deserted(self) -> bool:
        """Returns whether the process that was to conclude the search has ended without doing so."""
        with self._locked():
            return (self.folder / LEADER).exists() and not self._is_held(LEADER)

    def begin(self, until: float | None) -> list[Entry]:
        """Returns what was tried before, as far as its files are there, and lets others join.

        Args:
            until: when the search ends, in seconds of `time.time`; None where time does not end it.

        Raises:
            UserError: the file is no log.
        """
        with self._locked():
            entries = self.read()
            made = [trial.candidate.path for trial in trials(entries)]
            whole = next((at for at, file in enumerate(made) if file and not Path(file).exists()), len(made))
            self._write(entries[:whole], self._pending(), until)
            return entries[:whole]

    def read(self) -> list[Entry]:
        """Returns what has been tried. Raises UserError where the file is no log."""
        log: Any = self._record().get("log", [])
        if not isinstance(log, list):
            raise UserError(f"{self.path}: not the log of a search", AGAIN)
        entries = [self._entry(one, f"{self.path}: log.{at}") for at, one in enumerate(log)]
        with records.understood(self.path, AGAIN):  # What the steps of candidates and recipes say.
            trials(entries)
            costs.check(entries)
        return entries

    def _entry(self, record: Any, where: str) -> Entry:
        """Returns an entry with everything that one has; an earlier version wrote less of a candidate."""
        candidate = records.build(_Entry, record, where, AGAIN).candidate
        return {**record, "candidate": dict(vars(candidate))}

    def until(self) -> float:
        """Returns when the search ends, in seconds of `time.time`; infinite where time does not end it."""
        until = self._record().get("until")
        with records.understood(self.path, AGAIN):
            return float("inf") if until is None else float(until)

    def claim(self, decide: Callable[[list[Entry], list[Trial]], Decision | None]) -> Claim | None:
        """Returns the next candidate for this process; None where there is none.

        Args:
            decide: chooses, of what has been tried and what others are making, what comes next.
        """
        with self._locked():
            entries, pending = self.read(), self._pending()
            decision = decide(entries, [_undone(each.decision) for each in pending])
            if decision is None:
                return None
            number = 1 + max([*(entry["number"] for entry in entries), *(each.number for each in pending)], default=0)
            claim = Claim(number, decision, self._hold(CLAIM.format(number)))
            self._write(entries, [*pending, Told(number, decision)], self._record().get("until"))
            return claim

    def add(self, claim: Claim, entry: Entry) -> None:
        """Logs a claimed candidate, and lets the claim go."""
        with self._locked():
            pending = [each for each in self._pending() if each.number != claim.number]
            self._write([*self.read(), entry], pending, self._record().get("until"))
            claim.release()
            (self.folder / CLAIM.format(claim.number)).unlink(missing_ok=True)

    def is_quiet(self) -> bool:
        """Returns whether nobody makes a candidate now."""
        with self._locked():
            return not self._pending()

    def _record(self) -> dict[str, Any]:
        record = files.read_json(self.path) if self.path.exists() else {}
        return record if isinstance(record, dict) and record.get("key") == self.key else {}

    def _pending(self) -> list[Told]:
        """Returns the claims of processes that live, this one included."""
        claims: Any = self._record().get("claims", [])
        if not isinstance(claims, list):
            raise UserError(f"{self.path}: its claims are no list", AGAIN)
        told = [records.build(Told, each, f"{self.path}: claims.{at}", AGAIN) for at, each in enumerate(claims)]
        return [each for each in told if self._is_held(CLAIM.format(each.number))]

    def _is_held(self, name: str) -> bool:
        try:
            with (self.folder / name).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _hold(self, name: str) -> IO[bytes]:
        lock = files.open_own(self.folder / name)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with files.open_own(self.folder / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, entries: Sequence[Entry], claims: Sequence[Told], until: float | None) -> None:
        told = [{"number": each.number, "decision": to_json(each.decision)} for each in claims]
        files.write_json(self.path, {"key": self.key, "until": until, "log": list(entries), "claims": told})


def to_json(decision: Decision) -> dict[str, Any]:
    """Returns a decision as plain JSON values."""
    return {**dataclasses.asdict(decision), "point": decision.point.to_json()}


def trials(log: Sequence[Entry]) -> list[Trial]:
    """Returns a log's entries as trials."""
    return [
        Trial(
            Point(**entry["decision"]["point"]),
            entry["decision"]["epochs"],
            from_json(entry["candidate"], LOG),
        )
        for entry in log
    ]


def rejected(log: Sequence[Entry], latest: Mapping[str, str | None]) -> dict[str, str]:
    """Returns why points were left out before training, by name; not of those that were tried after all.

    Args:
        log: each entry has what had changed since the one before, None for a point that was no longer left out.
        latest: what has changed since the last entry.
    """
    found: dict[str, str | None] = {}
    for entry in log:
        found |= entry.get("rejected", {})
    tried = {Point(**entry["decision"]["point"]).name for entry in log}
    return {name: why for name, why in sorted({**found, **latest}.items()) if why is not None and name not in tried}


def used_seconds(log: Sequence[Entry]) -> float:
    """Returns how long a search has taken: the time of the process that has worked longest."""
    found: dict[Any, float] = {}
    for entry in log:
        worker = entry.get("worker", 0)
        found[worker] = found.get(worker, 0.0) + sum(entry["seconds"].values())
    return max(found.values(), default=0.0)


def _undone(decision: Decision) -> Trial:
    return Trial(decision.point, decision.epochs, Candidate(decision.point.name, failure=UNDONE))
