"""Runs conversions in child processes, as many at a time as there are cores; one that dies is a reason, not the end."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfday7.core.files import folder_size_bytes
from tfday7.exporting.format import Request

TIMEOUT_SECONDS = 1800
FEW, SMALL_BYTES = 4, 16_000_000


@dataclasses.dataclass(frozen=True)
class Answer:
    """How a conversion ended: with notes, or with the reason why there is no file."""

    notes: tuple[str, ...] = ()
    failure: str = ""


def convert(requests: Sequence[Request], folder: Path) -> list[Answer]:
    """Carries out requests, in as many processes as there are cores; a few small ones in a single process.

    Starting TensorFlow takes several seconds of a core, converting a small model less than one.

    Args:
        requests: what to convert.
        folder: for the requests' own files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, request in enumerate(requests):
        paths.append(folder / f"request_{index}.json")
        paths[-1].write_text(json.dumps(dataclasses.asdict(request)), encoding="utf-8")
    cores = len(os.sched_getaffinity(0))
    processes = 1 if _are_small(requests) else cores
    groups = [paths[i::processes] for i in range(processes)]
    children = _Children()
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
    """The processes that run now."""

    def __init__(self) -> None:
        self._lock, self._running, self._over = threading.Lock(), set[Any](), False

    def start(self, paths: Sequence[Path]) -> subprocess.Popen[str]:
        """Starts one; after `kill` it is killed at once."""
        with self._lock:
            child = _start(paths)
            self._running.add(child)
            if self._over:
                child.kill()
            return child

    def ended(self, child: subprocess.Popen[str]) -> None:
        """Forgets one."""
        with self._lock:
            self._running.discard(child)

    def kill(self) -> None:
        """Kills all of them, now and later."""
        with self._lock:
            self._over = True
            for child in self._running:
                child.kill()


def _carry_out(paths: list[Path], children: _Children) -> dict[Path, Answer]:
    """Runs a group in one process; when that dies, the rest in another, without the request that it died of."""
    answers: dict[Path, Answer] = {}
    while rest := [path for path in paths if path not in answers]:
        child = children.start(rest)
        try:
            _, errors = child.communicate(timeout=TIMEOUT_SECONDS * len(rest))
            failure = _reason(child.returncode, errors)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            failure = f"the converter did not finish within {TIMEOUT_SECONDS} s"
        finally:
            children.ended(child)
        answers |= {path: _answer(path.with_suffix(".done")) for path in rest if path.with_suffix(".done").exists()}
        first = next((path for path in rest if path not in answers), None)
        if first is not None:
            answers[first] = Answer(failure=failure)
    return answers


def _answer(path: Path) -> Answer:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Answer(tuple(said["notes"]), said["failure"])


def _start(paths: Sequence[Path]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tfday7.exporting.child", str(os.getpid()), *map(str, paths)]
    package = str(Path(__file__).resolve().parents[2])  # The child finds this very package, installed or not.
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **pipes)


def _reason(returncode: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = f": {lines[-1][:500]}" if lines else ""
    ended = f"was killed by signal {-returncode}" if returncode < 0 else f"failed with exit code {returncode}"
    return f"the converter {ended}{said}"
