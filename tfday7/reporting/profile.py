"""Which operators take the time, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.reporting.fitting_table import FittingTable, milliseconds
from tfday7.reporting.records import mapping, mappings, number, string
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 10
NAME_WIDTH = 40

Operator = Mapping[str, Any]


def profile_parts(profile: Mapping[str, Any], words: Words) -> list[RenderableType]:
    """Returns the operators that take most of the time as rich renderables; none without a profile.

    Args:
        profile: of a benchmark's record: a cell with what `benchmarking.profiling.Profile.to_json` gives, or with the
            reason in `failure` why there is none.
        words: of the area "benchmark".

    Raises:
        UserError: the record is damaged.
    """
    from rich.text import Text

    if not profile:
        return []
    cell = {"file": string(profile.get("file")), "runtime": string(profile.get("runtime"))}
    if profile.get("failure"):
        return [Text(printable(words("no_profile", reason=string(profile["failure"]), **cell)))]
    operators = mappings(profile.get("rows"), "benchmark: profile: rows")
    operators.sort(key=lambda operator: -(number(operator.get("ms")) or 0.0))
    shown = operators[:SHOWN]
    columns = {
        "operator": [string(operator.get("op")) for operator in shown],
        "name": [_end_of(string(operator.get("name"))) for operator in shown],
        "time": [milliseconds(number(operator.get("ms"))) for operator in shown],
        "share": [_percent(number(operator.get("share"))) for operator in shown],
    }
    title = Text(printable(words("profile", **cell)), style="bold")
    lines = [Text(printable(line)) for line in _sentences(profile, operators, words)]
    return [Text(), title, FittingTable(columns, words), *lines]


def _sentences(profile: Mapping[str, Any], operators: Sequence[Operator], words: Words) -> Iterable[str]:
    rest = operators[SHOWN:]
    if rest:
        share = sum(number(operator.get("share")) or 0.0 for operator in rest)
        yield words("more_operators", count=len(rest), share=_percent(share))
    total, whole = (milliseconds(number(profile.get(name))) for name in ("sum_ms", "whole_ms"))
    yield words("sum", sum=total, whole=whole)
    if profile.get("instead_of"):
        slowest = mapping(profile["instead_of"], "benchmark: profile: instead_of")
        yield words("instead_of", runtime=string(slowest.get("runtime")))
    untimed = {
        _remark(mapping(each.get("reason"), "benchmark: reason"), words) for each in operators if "reason" in each
    }
    yield from sorted(untimed)
    for note in mappings(profile.get("notes"), "benchmark: profile: notes"):
        yield _remark(note, words)


def _remark(remark: Mapping[str, Any], words: Words) -> str:
    values = mapping(remark.get("values"), "benchmark: values")
    return words.recorded(f"acceleration.{remark.get('id')}", string(remark.get("text")), values)


def _end_of(name: str) -> str:
    """Returns the end of a long name, which is what tells operators apart."""
    return name if len(name) <= NAME_WIDTH else f"...{name[3 - NAME_WIDTH :]}"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"
