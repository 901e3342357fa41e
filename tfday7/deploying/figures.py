"""What a device measured, checked for its shape, as rows of benchmark.json, and where those go."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.run_folder import BENCHMARK, RunFolder
from tfday7.deploying.connection import printable
from tfday7.exporting.records import Artefact, source_of

# The names that benchmark.json has for the packages.
RUNTIMES = {"ai-edge-litert": "litert", "tflite-runtime": "tflite_runtime", "tensorflow": "tensorflow_lite"}
SHARES = ("same_decision", "keras_same_decision")
PARITY = ("largest_difference", "tolerance", "keras_largest_difference", *SHARES)
MACHINE = ("machine", "system", "python", "cpu")


def record(text: str, where: str) -> dict[str, Any]:
    """Returns the JSON object that run_model.py printed. Raises UserError when it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unknown(where)
    return found


def parity(said: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns how a device's answers compare, from what `run_model.py check` printed.

    Raises:
        UserError: that is something else.
    """
    found = _part(said, "parity", where)
    if not isinstance(found.get("holds"), bool):
        raise _unknown(where)
    examples = _number(found, "examples", where)
    return {**{name: _number(found, name, where) for name in PARITY}, "examples": examples, "holds": found["holds"]}


def machine(said: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns what a device is, as text that a terminal can show, and numbers; None where it does not know."""
    found = _part(said, "machine", where)
    names = {name: None if found.get(name) is None else printable(str(found[name]))[:200] for name in MACHINE}
    return {**names, **{name: _number(found, name, where) for name in ("cores", "memory_bytes")}}


def runtime(said: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the runtime's name as in benchmark.json, its package and its version."""
    found = _part(said, "runtime", where)
    package = found.get("package")
    if package not in RUNTIMES:
        raise _unknown(where)
    version = None if found.get("version") is None else printable(str(found["version"]))[:80]
    return {"name": RUNTIMES[package], "package": package, "version": version}


def row(
    said: Mapping[str, Any], artefact: Artefact, host: str, compared: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Returns the row of what `run_model.py benchmark` printed.

    Args:
        said: that.
        artefact: what was measured.
        host: the device's name in the network, for telling two of a kind apart.
        compared: from `parity`.
        where: the device, for messages.
    """
    latency, found, used = _part(said, "latency_ms", where), machine(said, where), runtime(said, where)
    return {
        "artefact": artefact.name,
        "file": Path(str(artefact.path)).name,
        "runtime": used["name"],
        "runtime_version": used["version"],
        "device": f"{found['cpu'] or found['machine']} ({host})",
        "threads": _number(said, "threads", where),
        "batch_size": 1,
        "latency_ms": {name: _number(latency, name, where) for name in ("p50", "p90", "p99")},
        **{name: _number(said, name, where) for name in ("runs", "load_ms", "peak_memory_bytes")},
        "size_bytes": artefact.size_bytes,
        "metric": None,
        "parity": dict(compared),
        "machine": found,
    }


def place(artefact: Artefact) -> Path:
    """Returns the benchmark.json that an artefact's rows belong to: its run's, or the one beside it."""
    folder = Path(str(artefact.path)).parent
    source = source_of(artefact.run, folder)
    run = RunFolder(Path(source)) if source else None
    return run / BENCHMARK if run is not None and run.exists() else folder / BENCHMARK


def _part(said: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = said.get(name)
    if not isinstance(found, Mapping):
        raise _unknown(where)
    return found


def _number(said: Mapping[str, Any], name: str, where: str) -> float | None:
    found = said.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _unknown(where)
    return found


def _unknown(where: str) -> UserError:
    hint = "run it there by hand: python3 run_model.py check"
    return UserError(f"{where}: run_model.py answered something that is not its figures", hint)
