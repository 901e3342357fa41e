"""The axes of a search: one for each hyperparameter, over all ranges that it has had."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfday7.reporting.axes import CHOICE, LOG, Axis, numeric
from tfday7.reporting.records import number, string
from tfday7.reporting.search_records import SearchRecords, key_of


def of_search(records: SearchRecords) -> list[Axis]:
    """Returns an axis for each hyperparameter.

    Optimizers that have a range of their own for the same hyperparameter share its axis if they share its scale.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    widened = records.listed("widened")
    for entry in [*records.listed("space"), *widened]:
        groups.setdefault(string(entry.get("name")), []).append(entry)
    found = []
    for name, entries in groups.items():
        if len({string(entry.get("scale")) for entry in entries}) == 1:
            found.append(_axis(name, entries, widened, records))
        else:
            keys = list(dict.fromkeys(key_of(entry) for entry in entries))
            found += [_axis(key, [e for e in entries if key_of(e) == key], widened, records) for key in keys]
    return [axis for axis in found if any(axis.of(trial) is not None for trial in records.trials)]


def _axis(name: str, entries: Sequence[dict[str, Any]], widened: list[dict[str, Any]], records: SearchRecords) -> Axis:
    keys = tuple(dict.fromkeys(key_of(entry) for entry in entries))
    ranges = [entry["range"] for entry in entries if isinstance(entry.get("range"), list)]
    scale, ends = entries[0].get("scale"), [end for each in ranges for end in each]
    tried = [trial.values[key] for trial in records.trials for key in keys if key in trial.values]
    if scale == CHOICE:
        return Axis(name, CHOICE, choices=tuple(dict.fromkeys(map(string, [*ends, *tried]))), keys=keys)
    whole = all(isinstance(value, int) for value in [*ends, *tried])
    axis = numeric(name, map(number, [*ends, *tried]), scale == LOG, keys=keys, whole=whole)
    return dataclasses.replace(
        axis, seams=tuple(end for end in _bounds(entries, widened) if axis.low < end < axis.high)
    )


def _bounds(entries: Sequence[dict[str, Any]], widened: list[dict[str, Any]]) -> set[float]:
    """Returns the ends of first ranges that were moved beyond."""
    found = set()
    for first in (entry for entry in entries if entry not in widened):
        for then in (entry for entry in widened if key_of(entry) == key_of(first)):
            ends, beyond = (_numbers(entry.get("range")) for entry in (first, then))
            found |= {end for end in ends if min(beyond) <= end <= max(beyond)} if beyond else set()
    return found


def _numbers(values: Any) -> list[float]:
    return [value for value in map(number, values) if value is not None] if isinstance(values, list) else []
