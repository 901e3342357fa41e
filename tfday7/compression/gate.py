"""Whether a compression found what it was asked for; where it did not, what comes nearest and what to relax."""

from __future__ import annotations

import math
from typing import Any

from tfday7.core.errors import GateError


def check_gate(record: dict[str, Any]) -> None:
    """Raises GateError (exit 3) where no candidate could be made, or none is within the budget."""
    candidates = record["candidates"]
    if not candidates:
        raise GateError("no candidate could be made in the time that there was", "give more with --search_minutes")
    failed = [one for one in candidates if one["failure"]]
    if len(failed) == len(candidates):
        reasons = "; ".join(f"{one['name']}: {one['failure']}" for one in failed)
        raise GateError(reasons, "try another recipe; --overwrite where what was kept of one is damaged")
    if record["chosen"] is None:
        name = record["nearest"][0]
        said = [_broken(each) for each in record["outside"][name]]
        known = [each for each in record["outside"][name] if each["value"] is not None]
        relaxed = " ".join(f"--{each['limit']}={_relaxed(each, record)}" for each in known)
        hint = f"{relaxed} would admit it; more epochs or more time may find a better one"
        if any(each["limit"] == "max_accuracy_drop" and float(_relaxed(each, record)) > 1 for each in known):
            hint = "it loses more than a budget can allow; more epochs or more time may find a better one"
        if len(known) < len(record["outside"][name]):
            hint = "what is limited could not be measured; the notes in compression.json say why"
        raise GateError(f"no candidate is within the budget; the nearest, {name}, has {' and '.join(said)}", hint)


def _broken(each: dict[str, Any]) -> str:
    """Returns a limit that is broken in words, for example "41.2 kB where --max_size_kb=40 allows less"."""
    limit, value, allowed = each["limit"], each["value"], each["allowed"]
    if value is None:
        return f"an unknown value for --{limit}={allowed:g}"
    if limit in ("max_accuracy_drop", "min_metric"):
        return f"a validation metric of {value:.4f} where --{limit} asks for {allowed:.4f}"
    return f"{value:.4g} where --{limit} allows {allowed:g}"


def _relaxed(each: dict[str, Any], record: dict[str, Any]) -> str:
    """Returns the value of a limit with which the candidate would keep it, rounded to the safe side."""
    limit, value = each["limit"], each["value"]
    if limit == "max_accuracy_drop":
        return f"{math.ceil((record['baseline']['metric']['value'] - value) * 1e4) / 1e4:g}"
    if limit == "min_metric":
        return f"{math.floor(value * 1e4) / 1e4:g}"
    return f"{value * 1.02:.3g}"
