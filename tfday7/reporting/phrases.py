"""Short phrases around numbers that the terminal and the page share."""

from __future__ import annotations

from tfday7.reporting.comparison import Row
from tfday7.reporting.words import Words


def relative(value: float | None) -> str:
    """Returns a share as a percentage for example "1.2%", "0.031%" or "<0.001%"; unknown is "?"."""
    if value is None:
        return "?"
    percent = value * 100
    if percent == 0:
        return "0%"
    return "<0.001%" if percent < 1e-3 else f"{percent:.2g}%" if percent < 1 else f"{percent:.1f}%"


def agreement(value: float | None) -> str:
    """Returns a share of equal decisions; only a true 100% is shown as such."""
    if value is None:
        return "?"
    return "100%" if value == 1 else f"{min(value * 100, 99.99):.2f}%"


def reasons(row: Row, words: Words) -> list[str]:
    """Returns why an artefact does not hold, in words."""
    spoken = []
    for reason in row.reasons:
        values = {**reason.values}
        if "metric" in values:
            values["metric"] = words.metric(values["metric"])
        if "relative" in values:
            values |= {name: relative(values[name]) for name in ("relative", "allowed")}
            values["scale"] = words.known(f"scale.{values['scale']}", values["scale"])
        if "same" in values:
            values |= {name: agreement(values[name]) for name in ("same", "required")}
        spoken.append(words(f"reason.{reason.id}", **values) if reason.id else reason.text)
    return spoken
