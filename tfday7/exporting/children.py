"""Runs conversions in child processes, as many at a time as there are cores; one that dies is a reason, not the end."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from tfday7.core.files import folder_size_bytes
from tfday7.exporting.converters import KEPT, Converter
from tfday7.exporting.format import FORMATS, Request

TIMEOUT_SECONDS = 1800
FEW, SMALL_BYTES = 4, 16_000_000


@dataclasses.dataclass(frozen=True)
class Answer:
    """How a conversion ended: with notes, or with the reason why there is no file."""

    notes: tuple[str, ...] = ()
    failure: str = ""


def convert(requests: Sequence[Request], folder: Path, fresh: bool = False) -> list[Answer]:
    """Carries out requests, in as many processes as there are cores; a few small ones in a single process.

    Args:
        requests: what to convert.
        folder: for the requests' own files.
        fresh: whether processes that have converted before, and their forks, will not do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, request in enumerate(requests):
        paths.append(folder / f"request_{index}.json")
        paths[-1].write_text(json.dumps(dataclasses.asdict(request)), encoding="utf-8")
    cores = len(os.sched_getaffinity(0))
    processes = 1 if _are_small(requests) else cores
    groups = [paths[i::processes] for i in range(processes)]
    keeps = not fresh and KEPT.possible() and not any(FORMATS.get(one.format).needs_own_process for one in requests)
    children = _Children(keeps)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        try:
            done = pool.map(lambda group: _carry_out(group, children), [group for group in groups if group])
            answers = {path: answer for found in done for path, answer in found.items()}
        except BaseException:  # An interrupted run leaves no converter behind.
            children.kill()
            raise
    return [answers[path] for path in paths]


def _are_small(requests: Sequence[Request]) -> bool:
    size_bytes = sum(folder_size_bytes(Path(request.saved_model)) for request in requests)
    return len(requests) <= FEW and size_bytes <= SMALL_BYTES


class _Children:
    """The processes that run now.

    Args:
        keeps: whether they are taken from those that wait, and wait again.
    """

    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self._lock, self._running, self._over = threading.Lock(), set[Converter](), False

    def start(self, paths: Sequence[Path]) -> Converter:
        """Returns one for these requests; after `kill` it is killed at once."""
        with self._lock:
            child = KEPT.take() if self.keeps else Converter(paths)
            self._running.add(child)
            if self._over:
                child.kill()
            return child

    def ended(self, child: Converter) -> None:
        """Lets one wait for others' requests, or forgets it."""
        with self._lock:
            self._running.discard(child)
        KEPT.give(child)

    def kill(self) -> None:
        """Kills all of them, now and later."""
        with self._lock:
            self._over = True
            for child in self._running:
                child.kill()


def _carry_out(paths: list[Path], children: _Children) -> dict[Path, Answer]:
    """Runs a group in one process; when that dies, the rest in another, without the request that it died of."""
    answers: dict[Path, Answer] = {}
    lost = False
    while rest := [path for path in paths if path not in answers]:
        child = children.start(rest)
        before = lost
        seconds = TIMEOUT_SECONDS * len(rest)
        try:
            failure = child.carry_out(rest, seconds)
            lost = child.is_lost()
        except subprocess.TimeoutExpired:
            child.kill()
            failure = f"the converter did not finish within {seconds} s"
        finally:
            children.ended(child)
        answers |= {path: _answer(path.with_suffix(".done")) for path in rest if path.with_suffix(".done").exists()}
        first = next((path for path in rest if path not in answers), None)
        if first is not None and (before or not lost):  # What was asked of a process that was lost is asked again.
            answers[first] = Answer(failure=failure)
    return answers


def _answer(path: Path) -> Answer:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Answer(tuple(said["notes"]), said["failure"])
