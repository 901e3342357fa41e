"""Numbers as people read them. 1 kB is 1,000 bytes; an unknown value is "?"."""

from __future__ import annotations


def format_bytes(size_bytes: float | None) -> str:
    """Returns for example "94.6 kB" for 94,640 bytes."""
    if size_bytes is None:
        return "?"
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for power, unit in ((1, "kB"), (2, "MB"), (3, "GB")):
        if size_bytes < 1000 ** (power + 1) * 0.9995 or unit == "GB":
            return f"{size_bytes / 1000**power:.1f} {unit}"
    raise AssertionError("unreachable")


def format_duration(seconds: float | None) -> str:
    """Returns for example "850 ms", "12.3 s" or "4 min 05 s"."""
    if seconds is None:
        return "?"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_number(value: float | None, digits: int = 4) -> str:
    """Returns a metric with a fixed number of decimals, in scientific notation when it would round to zero."""
    if value is None:
        return "?"
    if value != 0 and abs(value) < 10**-digits:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}"


def format_count(count: int | None) -> str:
    """Returns for example "85,066"."""
    return "?" if count is None else f"{count:,}"
