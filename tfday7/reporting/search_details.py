"""The words and figures of a search's report: its headline, key figures, ranges, optimizers and small print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfday7.core.units import format_count, format_duration
from tfday7.reporting import details
from tfday7.reporting.details import Detail
from tfday7.reporting.figures import series
from tfday7.reporting.headline import Tile
from tfday7.reporting.records import count, mapping, number, string
from tfday7.reporting.search import shown
from tfday7.reporting.search_records import SearchRecords, key_of, spread
from tfday7.reporting.seed_charts import curves_of, optimizer_order, ranked_optimizers
from tfday7.reporting.words import Words, capitalized


def objective(name: str, words: Words, say: Words) -> str:
    """Returns what people call an objective: "validation accuracy" for "val_accuracy"."""
    kind = name.removeprefix("val_")
    return name if kind == name else say("page.validation", metric=words.metric(kind))


def headline(records: SearchRecords, unit: str, say: Words) -> str:
    """Returns the result in a sentence: the best trial, or the winner of a bake-off."""
    winner, rows = string(records.compare.get("winner")), ranked_optimizers(records)
    found = spread(records.best)
    if winner and found:
        values = {"count": len(rows), "winner": winner, "objective": unit, "mean": shown(found["mean"])}
        return say("page.headline_compare", seeds=len(records.reruns) - records.failed, **values)
    best = records.ranked[0]
    trials = format_count(len(records.trials))
    return say("headline", count=trials, objective=unit, value=shown(best.value), number=best.number)


def lead(records: SearchRecords, say: Words) -> str:
    """Returns what tempers the headline: how it came out with other seeds, and that trials were few."""
    found, sentences = spread(records.best), []
    seeds, failed = len(records.reruns), records.failed
    if found:
        name = "spread" if seeds - failed > 1 else "one_seed"
        sentences.append(say(name, seeds=seeds - failed, mean=shown(found["mean"]), std=shown(found["std"])))
    if failed:
        sentences.append(say("seeds_failed", failed=failed, seeds=seeds))
    if not records.listed("importance"):
        sentences.append(say("too_few"))
    return say("page.sentences").join(sentences)


def tiles(records: SearchRecords, unit: str, say: Words) -> list[Tile]:
    """Returns the key figures; those of a bake-off count the trials of all optimizers."""
    best, found = records.ranked[0], spread(records.best)
    winner = string(records.compare.get("winner"))
    trial = say("page.number_of" if winner else "page.number", number=best.number, optimizer=winner)
    tiles = [Tile(capitalized(unit), shown(best.value), trial)]
    if found:
        seeds = len(records.reruns) - records.failed
        note = say("page.seeds_range", seeds=seeds, low=shown(found["low"]), high=shown(found["high"]))
        tiles.append(Tile(say("page.reruns"), f"{shown(found['mean'])} ± {found['std']:.2g}", note))
    rows = ranked_optimizers(records)
    trials = sum(count(row.get("trials")) or 0 for row in rows) or len(records.trials)
    nowhere = sum(count(row.get("infeasible")) or 0 for row in rows) if rows else len(records.infeasible)
    outcome = say("page.nowhere_count", count=nowhere) if nowhere else say("page.all_feasible")
    known = [number(row.get("seconds")) for row in rows] if rows else [trial.seconds for trial in records.trials]
    seconds = None if None in known else sum(each for each in known if each is not None)
    workers = count(records.record.get("workers")) or 1
    return [
        *tiles,
        Tile(say("page.trials"), format_count(trials), outcome),
        Tile(say("page.time"), format_duration(seconds), say("page.workers", count=workers) if workers > 1 else ""),
        *_target(records, say),
    ]


def _target(records: SearchRecords, say: Words) -> list[Tile]:
    target = mapping(records.record.get("target"), "tuning.json: target")
    if not target:
        return []
    reached = mapping(target.get("reached"), "tuning.json: target: reached")
    label = say("page.target", value=shown(target.get("value")))
    if not reached:
        return [Tile(label, say("page.target_missed"), "")]
    note = say("page.target_seconds", duration=format_duration(number(reached.get("seconds"))))
    return [Tile(label, say("page.number", number=count(reached.get("trial"))), note)]


def optimizers(records: SearchRecords) -> list[dict[str, Any]]:
    """Returns the rows of a bake-off, ranked, each with its colour and the settings that set it apart."""
    rows = ranked_optimizers(records)
    flags = [mapping(row.get("settings"), "tuning.json: settings") for row in rows]
    common = {name for name in flags[0] if all(each.get(name) == flags[0][name] for each in flags)} if flags else set()
    return [
        {
            **row,
            "spread": spread(row),
            "failed": count(row.get("failed")) or 0,
            "seeds": len(curves_of(row)),
            "series": series(colour),
            "tuned": [f"{name}={shown(value)}" for name, value in each.items() if name not in {*common, "optimizer"}],
        }
        for row, each, colour in zip(rows, flags, optimizer_order(records), strict=True)
    ]


def ranges(records: SearchRecords, say: Words) -> list[str]:
    """Returns what was widened, from which range to which, and where the best still lies at a bound."""
    before = {key_of(entry): entry for entry in records.listed("space")}
    notes = [
        say("page.widened", name=key, first=_range(before.get(key, {}), say), then=_range(entry, say))
        for key, entry in ((key_of(entry), entry) for entry in records.listed("widened"))
    ]
    bounds = mapping(records.best.get("at_bound"), "tuning.json: at_bound")
    return notes + [say("at_bound", names=say("page.names").join(bounds))] * bool(bounds)


def _range(parameter: Mapping[str, Any], say: Words) -> str:
    ends = parameter.get("range")
    known = [shown(end) for end in ends] if isinstance(ends, list) else []
    return say("page.range", low=known[0], high=known[-1]) if known else "?"


def of_search(records: SearchRecords, words: Words, say: Words) -> list[Detail]:
    """Returns what the search was made of: how, where, with what."""
    record = records.record
    folds = count(record.get("folds")) or 1
    hardware, versions = (mapping(record.get(part), f"tuning.json: {part}") for part in ("hardware", "versions"))
    found = [
        Detail(say("page.tuner"), string(record.get("tuner")), code=True),
        Detail(say("page.space"), say("page.semicolon").join(_parameter(each) for each in records.listed("space"))),
        Detail(say("page.epochs"), string(record.get("epochs"))),
        Detail(say("page.folds"), str(folds) if folds > 1 else ""),
        Detail(say("page.worker_count"), string(record.get("workers"))),
        Detail(words("detail.seed"), string(record.get("seed"))),
        *details.machine(hardware, versions, words),
    ]
    return [detail for detail in found if detail.value]


def _parameter(entry: Mapping[str, Any]) -> str:
    """Returns a hyperparameter with its range as `--tune` takes it."""
    ends = [shown(end) for end in entry["range"]] if isinstance(entry.get("range"), list) else []
    scale = string(entry.get("scale"))
    return f"{key_of(entry)}={'|'.join(ends)}" if scale == "choice" else f"{key_of(entry)}={'..'.join(ends)}:{scale}"
