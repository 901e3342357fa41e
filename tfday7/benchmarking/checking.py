"""What targets will and will not accelerate of artefacts.

Some targets are asked through their own native code, so each judges in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfday7 import runtimes
from tfday7.benchmarking import process
from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.subjects import Subject
from tfday7.core.errors import UserError


def targets(names: Sequence[str]) -> list[str]:
    """Returns the targets asked for, all where none is. Raises UserError listing the known for an unknown one."""
    from tfday7.benchmarking.acceleration import TARGETS

    for name in names:
        TARGETS.get(name)
    return list(names) or list(TARGETS.names())


def check(
    subjects: Sequence[Subject], names: Sequence[str], command: Sequence[str] = process.COMMAND
) -> dict[str, Any]:
    """Returns what each target makes of each artefact.

    Args:
        subjects: the artefacts.
        names: of targets.
        command: starts a worker.

    Returns:
        {"artefacts": [{"artefact", "file", "judgements": [{"target", "failure", ...}]}]}; a judgement as
        `acceleration.Judgement.to_json` gives it, with the reason in `failure` where there is none.

    Raises:
        UserError: no target judges any of the artefacts.
    """
    found: list[dict[str, Any]] = []
    for subject in subjects:
        judgements = [_judge(subject, name, command) for name in names]
        found.append({"artefact": subject.name, "file": subject.path.name, "judgements": judgements})
    failures = [each["failure"] for artefact in found for each in artefact["judgements"]]
    if all(failures):
        raise UserError(f"--check: nothing could be judged: {failures[0]}", "check the files and --targets")
    return {"artefacts": found}


def _judge(subject: Subject, target: str, command: Sequence[str]) -> dict[str, Any]:
    cell = Cell(subject, runtimes.default_runtime(subject.path))
    worker = process.Worker(cell, command=command, prepare=False)
    try:
        return {**worker.judge(target), "failure": ""}
    except CellError as error:
        return {"target": target, "failure": str(error)}
    finally:
        worker.close()
