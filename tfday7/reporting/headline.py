"""The result in one sentence, and the key figures under it."""

from __future__ import annotations

import dataclasses

from tfday7.core.units import format_bytes, format_count, format_duration, format_number
from tfday7.reporting.comparison import Comparison
from tfday7.reporting.findings import Verdict
from tfday7.reporting.records import RunRecords, count, mapping, mappings, number, string
from tfday7.reporting.words import Words, capitalized


@dataclasses.dataclass(frozen=True)
class Tile:
    """A key figure: its name, its value, and one line that puts it in proportion."""

    label: str
    value: str
    note: str = ""


def headline(verdict: Verdict, table: Comparison, words: Words) -> str:
    """Returns verdict, test metric and smallest verified file as one sentence; what is unknown is left out."""
    clauses = []
    if table.keras_metric is not None:
        metric = words.metric(table.metric)
        clauses.append(words("headline.metric", metric=metric, value=format_number(table.keras_metric)))
    if table.smallest is not None:
        size = format_bytes(table.smallest.size_bytes)
        clauses.append(words("headline.file", size=size, kind=table.smallest.kind))
    elif table.rows:
        clauses.append(words("headline.no_file"))
    result = words.joined(clauses)
    if verdict.label and result:
        return words("headline.whole", verdict=verdict.label, result=result)
    if verdict.label:
        return words("headline.verdict", verdict=verdict.label)
    return words("headline.result", result=capitalized(result)) if result else words("headline.nothing")


def tiles(records: RunRecords, table: Comparison, words: Words) -> list[Tile]:
    """Returns the key figures that are known: metric, smallest and compressed file, latency, parameters, training."""
    found = [_metric(records, table, words), _smallest(table, words), _compressed(records, words)]
    found.append(_fastest(table, words))
    if table.parameters is not None:
        model = string(records.of_run("model").get("name"))
        found.append(Tile(words("tile.parameters"), format_count(table.parameters), model))
    return [tile for tile in [*found, _training(records, words)] if tile is not None]


def _metric(records: RunRecords, table: Comparison, words: Words) -> Tile | None:
    if table.keras_metric is None:
        return None
    scores = records.of_run("metric")
    known = [(name, number(scores.get(name))) for name in ("validation", "baseline")]
    notes = [words(f"tile.{name}", value=format_number(value)) for name, value in known if value is not None]
    label = words("tile.test_metric", metric=words.metric(table.metric))
    return Tile(label, format_number(table.keras_metric), words.joined(notes))


def _smallest(table: Comparison, words: Words) -> Tile | None:
    row = table.smallest
    if row is None:
        return None
    note = row.label
    if row.size_ratio is not None and row.size_ratio != 1:
        note = words("tile.of_float32", name=row.label, percent=row.size_ratio * 100)
    return Tile(words("tile.smallest"), format_bytes(row.size_bytes), note)


def _compressed(records: RunRecords, words: Words) -> Tile | None:
    """Returns the file that a compression has chosen, with what is left of float32's size, and of the metric."""
    record = records.compression
    candidates = mappings(record.get("candidates"), "compression.json: candidates")
    chosen = next((one for one in candidates if one.get("name") == record.get("chosen")), None)
    if chosen is None:
        return None
    name, size, scored = string(chosen.get("name")), number(chosen.get("size_bytes")), number(chosen.get("test_metric"))
    whole = number(mapping(record.get("baseline"), "compression.json: baseline").get("size_bytes"))
    note = words("tile.of_float32", name=name, percent=100 * size / whole) if size and whole else name
    told = words("tile.scored", value=format_number(scored)) if scored is not None else ""
    return Tile(words("tile.compressed"), format_bytes(size), words.joined([note, *([told] * bool(told))]))


def _fastest(table: Comparison, words: Words) -> Tile | None:
    row = table.fastest
    if row is None:
        return None
    device = string(table.conditions.get("device"))
    return Tile(
        words("tile.fastest"), milliseconds(row.latency_ms), words.joined([row.label, *([device] * bool(device))])
    )


def _training(records: RunRecords, words: Words) -> Tile | None:
    training = records.of_run("training")
    epochs, best, seconds = (
        count(training.get("epochs")),
        count(training.get("best_epoch")),
        number(training.get("seconds")),
    )
    if epochs is None:
        return None
    note = words("tile.best_epoch", best=best, epochs=epochs) if best else words("tile.epochs", epochs=epochs)
    return Tile(words("tile.training"), format_duration(seconds), note)


def milliseconds(latency_ms: float | None) -> str:
    """Returns for example "0.0451 ms"; three significant digits, because edge latencies span five decades."""
    if latency_ms is None:
        return "?"
    if latency_ms >= 999.5:
        return format_duration(latency_ms / 1000)
    digits = (
        4
        if latency_ms < 0.09995
        else 3
        if latency_ms < 0.9995
        else 2
        if latency_ms < 9.995
        else 1
        if latency_ms < 99.95
        else 0
    )
    return f"{latency_ms:.{digits}f} ms"
