"""Everything a run folder says, read once and checked for its shape, so that drawing never meets a surprise.

A record that is missing is empty; one that is there but is not what a run writes is refused by name.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import BENCHMARK, COMPRESSION, DIAGNOSIS, EXPORTS, FIX, FLAGS, HEALTH, RunFolder


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """The records of one run, as plain JSON values; each is empty when its file is missing.

    Attributes:
        path: the run folder.
        name: of the run.
        run: run.json.
        metrics: the lines of metrics.jsonl.
        diagnosis: diagnosis.json.
        artefacts: those of exports.json.
        benchmark: the rows of benchmark.json.
        flags: flags.txt.
        health: health.json, as in `diagnosis.health`.
        fix: fix.json.
        compression: compression.json.
    """

    path: Path
    name: str
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    diagnosis: dict[str, Any] = dataclasses.field(default_factory=dict)
    artefacts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    benchmark: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    flags: str = ""
    health: dict[str, Any] = dataclasses.field(default_factory=dict)
    fix: dict[str, Any] = dataclasses.field(default_factory=dict)
    compression: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def gate(self) -> str:
        """What did not hold, with its hint; empty when all gates did."""
        found = self.run.get("gate") or {}
        return "; ".join(found[part] for part in ("message", "hint") if found.get(part))

    def of_run(self, name: str) -> dict[str, Any]:
        """Returns a part of run.json, for example "metric"; {} when it is not there."""
        return mapping(self.run.get(name), f"run.json: {name}")


def read(folder: RunFolder) -> RunRecords:
    """Returns what lies in a run folder. Raises UserError when a record is damaged, naming it."""
    run = folder.record()
    return RunRecords(
        path=folder.path,
        name=string(run.get("name")) or folder.name,
        run=run,
        metrics=[line for line in folder.metrics() if isinstance(line, dict)],
        diagnosis=_optional(folder / DIAGNOSIS),
        artefacts=mappings(_optional(folder / EXPORTS).get("artefacts"), f"{EXPORTS}: artefacts"),
        benchmark=mappings(_optional(folder / BENCHMARK).get("rows"), f"{BENCHMARK}: rows"),
        flags=text_file(folder / FLAGS),
        health=_optional(folder / HEALTH),
        fix=_optional(folder / FIX),
        compression=_optional(folder / COMPRESSION),
    )


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Returns a JSON object, {} for null. Raises UserError when it is something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: {type(value).__name__} found; expected an object", "run the stage that wrote it again"
        )
    return value


def mappings(value: Any, where: str) -> list[dict[str, Any]]:
    """Returns a list of JSON objects, [] for null. Raises UserError when it is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UserError(f"{where}: {type(value).__name__} found; expected a list", "run the stage that wrote it again")
    return [mapping(entry, where) for entry in value]


def number(value: Any) -> float | None:
    """Returns a finite number, or None for anything else: unknown, not finite, not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:  # An integer beyond the range of floats.
        return None
    return as_float if math.isfinite(as_float) else None


def count(value: Any) -> int | None:
    """Returns a whole number, or None for anything else."""
    found = number(value)
    return None if found is None else int(found)


def string(value: Any) -> str:
    """Returns a value as text; null is empty."""
    return "" if value is None else str(value)


def strings(value: Any) -> list[str]:
    """Returns the entries of a list as text; anything else is empty."""
    return [string(entry) for entry in value] if isinstance(value, list) else []


def text_file(path: Path) -> str:
    """Returns a text file, empty when there is none. Raises UserError when it cannot be read."""
    if not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _optional(path: Path) -> dict[str, Any]:
    return mapping(files.read_json(path), str(path)) if path.exists() else {}
