"""A benchmark on the terminal: how fast, at what cost, how far to trust it, and what could not be measured.

Two tables, as one of fourteen columns fits no terminal: the times of every row, and what loading, memory, size and
accuracy are of each file in each runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.units import format_bytes, format_number
from tfday7.reporting.fitting_table import FittingTable, milliseconds, significant
from tfday7.reporting.profile import profile_parts
from tfday7.reporting.records import count, mapping, mappings, number, string, strings
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

NOISY = 0.1  # Medians of two halves that differ by more.
INTERRUPTED = 0.01
MIN_ROUNDS = 20

Row = Mapping[str, Any]


def benchmark_summary(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns a benchmark as a rich renderable.

    Args:
        record: as `benchmarking.benchmarking.benchmark` returns it.
        lang: "en" or "zh".

    Raises:
        UserError: the record is damaged.
    """
    from rich.console import Group
    from rich.text import Text

    words = Words(lang, "benchmark")
    rows = mappings(record.get("rows"), "benchmark: rows")
    names = labels(rows)
    timed = [row for row in rows if _p50(row) is not None]
    parts: list[RenderableType] = []
    if timed:
        parts += [Text(printable(_headline(timed, names, words)), style="bold"), Text()]
        for device in dict.fromkeys(string(row.get("device")) for row in timed):
            parts.append(Text(printable(words("times", device=device)), style="bold"))
            own = [row for row in timed if string(row.get("device")) == device]
            parts += [FittingTable(_times(own, names), words), Text()]
        parts += [Text(words("costs"), style="bold"), FittingTable(_costs(timed, names, words), words), Text()]
    parts += [Text(printable(line)) for line in _sentences(record, rows, names, words)]
    parts += profile_parts(mapping(record.get("profile"), "benchmark: profile"), words)
    if record.get("path"):
        parts.append(Text(printable(words("written", path=string(record["path"]))), no_wrap=True, overflow="ignore"))
    return Group(*parts)


def labels(rows: Iterable[Row]) -> dict[str, str]:
    """Returns what to call each file: without the beginning that all of them have, such as the run's name."""
    files = list(dict.fromkeys(string(row.get("file") or row.get("artefact")) for row in rows))
    parts = [file.split("_") for file in files]
    shared = 0
    while len(files) > 1 and all(len(own) > shared + 1 and own[shared] == parts[0][shared] for own in parts):
        shared += 1
    return {file: "_".join(own[shared:]) for file, own in zip(files, parts, strict=True)}


def _times(rows: Sequence[Row], names: Mapping[str, str]) -> dict[str, list[str]]:
    latencies = [mapping(row.get("latency_ms"), "latency_ms") for row in rows]
    return {
        "file": [_label(row, names) for row in rows],
        "runtime": [string(row.get("runtime")) for row in rows],
        "threads": [string(row.get("threads")) for row in rows],
        "batch_size": [string(row.get("batch_size")) for row in rows],
        **{name: [significant(number(latency.get(name))) for latency in latencies] for name in ("p50", "p90", "p99")},
        "rate": [significant(number(row.get("throughput_per_second"))) for row in rows],
        "ratio": [_ratio(row) for row in rows],
    }


def _costs(rows: Sequence[Row], names: Mapping[str, str], words: Words) -> dict[str, list[str]]:
    """Returns a line for each file in each runtime: of its first row."""
    firsts: dict[tuple[str, str], Row] = {}
    for row in rows:
        firsts.setdefault((_label(row, names), string(row.get("runtime"))), row)
    listed = list(firsts.values())
    metrics = [string(row.get("metric_name")) for row in listed if row.get("metric_name")]
    spoken = Words(words.lang)
    shown = {spoken.metric(name): [_metric(row, name) for row in listed] for name in dict.fromkeys(metrics)}
    return {
        "file": [file for file, _ in firsts],
        "runtime": [runtime for _, runtime in firsts],
        "load": [milliseconds(number(row.get("load_ms"))) for row in listed],
        "first": [milliseconds(number(row.get("first_ms"))) for row in listed],
        "memory": [_memory(row) for row in listed],
        "size": [format_bytes(count(row.get("size_bytes"))) for row in listed],
        "gzip": [format_bytes(count(row.get("gzip_bytes"))) for row in listed],
        **shown,
    }


def _sentences(record: Row, rows: Sequence[Row], names: Mapping[str, str], words: Words) -> Iterable[str]:
    """Yields what the figures mean, how far they can be trusted, and what is missing."""
    baseline = mapping(record.get("baseline"), "benchmark: baseline")
    if baseline and any(number(row.get("latency_ratio")) is not None for row in rows):
        yield words("ratio", cell=_cell(baseline, names, words))
    if any(_memory(row) != "?" and _p50(row) is not None for row in rows):
        yield words("memory")
    found = mapping(record.get("repeatability"), "benchmark: repeatability")
    if found:
        drift, largest, spread = (_percent(number(found.get(name))) for name in ("drift", "largest_drift", "spread"))
        yield words("repeatability", drift=drift, largest=largest, spread=spread)
        interrupted = number(found.get("interrupted_share")) or 0.0
        if interrupted > INTERRUPTED:
            yield words("interrupted", share=_percent(interrupted))
        if (number(found.get("drift")) or 0.0) > NOISY:
            yield words("noisy")
    yield from _reasons("failed", [row for row in rows if row.get("failure")], "failure", names, words)
    yield from _few_rounds([row for row in rows if _p50(row) is not None], names, words)
    yield from _reasons("random_inputs", rows, "inputs_note", names, words)
    yield from _reasons("no_metric", [row for row in rows if row.get("metric") is None], "metric_note", names, words)
    yield from strings(record.get("notes"))


def _reasons(key: str, rows: Sequence[Row], field: str, names: Mapping[str, str], words: Words) -> Iterable[str]:
    """Yields a sentence for each reason that rows give in a field, with the names of all that give it."""
    reasons = dict.fromkeys(string(row.get(field)) for row in rows if row.get(field))
    for reason in reasons:
        same = [row for row in rows if row.get(field) == reason]
        yield words(key, names=_together(same, key == "failed", names, words), reason=reason)


def _few_rounds(rows: Sequence[Row], names: Mapping[str, str], words: Words) -> Iterable[str]:
    few = [row for row in rows if (count(row.get("rounds")) or 0) < MIN_ROUNDS]
    if few:
        rounds = min(count(row.get("rounds")) or 0 for row in few)
        yield words("few_rounds", names=_together(few, True, names, words), rounds=rounds, wanted=MIN_ROUNDS)


def _together(rows: Sequence[Row], each: bool, names: Mapping[str, str], words: Words) -> str:
    described = [_cell(row, names, words) if each else _label(row, names) for row in rows]
    return Words(words.lang)("semicolon").join(dict.fromkeys(described))


def _headline(rows: Sequence[Row], names: Mapping[str, str], words: Words) -> str:
    fastest = max(rows, key=lambda row: number(row.get("throughput_per_second")) or 0.0)
    rate = significant(number(fastest.get("throughput_per_second")))
    return words("headline", cell=_cell(fastest, names, words), rate=rate)


def _cell(row: Row, names: Mapping[str, str], words: Words) -> str:
    threads = count(row.get("threads"))
    values = {"file": _label(row, names), "runtime": string(row.get("runtime")), "batch": string(row.get("batch_size"))}
    return words("cell_one", **values) if threads == 1 else words("cell", threads=string(threads), **values)


def _label(row: Row, names: Mapping[str, str]) -> str:
    file = string(row.get("file") or row.get("artefact"))
    return names.get(file, file)


def _p50(row: Row) -> float | None:
    return number(mapping(row.get("latency_ms"), "latency_ms").get("p50"))


def _ratio(row: Row) -> str:
    ratio, limits = number(row.get("latency_ratio")), row.get("latency_ratio_range")
    if ratio is None:
        return "?"
    low, high = (number(limit) for limit in limits) if isinstance(limits, list) and len(limits) == 2 else (None, None)
    if low is None or high is None or low == high:
        return f"{significant(ratio)}x"
    return f"{significant(ratio)}x ±{(high - low) / 2 / ratio:.0%}" if ratio else "?"


def _memory(row: Row) -> str:
    peak, before = count(row.get("peak_memory_bytes")), count(row.get("memory_before_bytes"))
    return format_bytes(max(0, peak - before)) if peak is not None and before is not None else "?"


def _metric(row: Row, name: str) -> str:
    return format_number(number(row.get("metric"))) if row.get("metric_name") == name else "?"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"
