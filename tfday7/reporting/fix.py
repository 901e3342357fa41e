"""The remedies that were tried on a run: before and after, with every seed, which were kept and why not."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.texts import text
from tfday7.core.units import format_duration, format_number
from tfday7.reporting import axes
from tfday7.reporting.axes import CHOICE, Axis
from tfday7.reporting.figures import Figure, figure
from tfday7.reporting.plot import HALF, ROW, Plot, margin
from tfday7.reporting.records import count, mapping, mappings, number, string, strings
from tfday7.reporting.words import Words, capitalized

if TYPE_CHECKING:
    from rich.console import Group

MAX_ATTEMPTS = 40
MAX_SEEDS = 20


@dataclasses.dataclass(frozen=True)
class Attempt:
    """The original, a remedy, or the winner.

    Attributes:
        flags: what differs from the original, as they are typed.
        remedy: what it does, as a sentence; empty where the record names none.
        value: mean of the validation metric over the seeds; None where no training ended.
        by_seed: the value of each seed that ended.
        difference: of the means, to the original trained with the same seeds.
        kept: whether it improved beyond the spread; `reason` says why not.
        look: "before", "kept", "dropped" or "after".
        place: of an attempt in the order in which they were tried, from 1; 0 for the others.
    """

    flags: tuple[str, ...]
    remedy: str
    value: float | None
    by_seed: tuple[float, ...]
    difference: float | None
    kept: bool
    reason: str
    look: str
    place: int = 0

    def name(self, words: Words) -> str:
        """Returns what is tried: "before", the flags with their place, or "after"."""
        if not self.place:
            return words(f"fix.{self.look}")
        return f"{self.place}. {' '.join(self.flags) or self.remedy or words('fix.unset')}"


@dataclasses.dataclass(frozen=True)
class Fix:
    """What the page and the terminal show of a repair; empty texts where nothing was measured."""

    sentence: str
    test: str
    effort: str
    before: Attempt
    attempts: list[Attempt]
    after: Attempt | None
    command: str


def fix(record: Mapping[str, Any], words: Words) -> Fix | None:
    """Returns the repair that fix.json records; None for an empty record.

    Raises:
        UserError: the record is damaged.
    """
    if not record:
        return None
    original = mapping(record.get("before"), "fix.json: before")
    first = _by_seed(original)
    before = _attempt(original, [], "before", words)
    tried = mappings(record.get("attempts"), "fix.json: attempts")[:MAX_ATTEMPTS]
    winner = mapping(record.get("after"), "fix.json: after")
    after = _attempt(winner, first, "after", words) if winner else None
    values = {"metric": words.metric(string(record.get("metric"))), "before": format_number(before.value)}
    if after is None:
        sentence = words(_kept_original(record, tried), **values)
        guess = number(record.get("guess"))
        if tried and guess is not None and before.value is not None and before.value < guess:
            beaten = words("fix.below_guessing", guess=format_number(guess))
            sentence = words("sentences").join([sentence, beaten])
    else:
        sentence = words("fix.improved", flags=" ".join(after.flags), after=format_number(after.value), **values)
    return Fix(
        sentence=sentence,
        test=_test(record, words) if after else "",
        effort=_effort(record, words),
        before=before,
        attempts=[
            _attempt(entry, first, "kept" if entry.get("kept") is True else "dropped", words, place)
            for place, entry in enumerate(tried, start=1)
        ],
        after=after,
        command=string(record.get("command")) if after else "",
    )


def fix_figure(found: Fix, metric: str, words: Words) -> Figure | None:
    """Returns every seed as a dot and every mean as a stroke, a row an attempt; None where nothing was measured."""
    rows = [row for row in (found.before, *found.attempts, found.after) if row is not None and row.value is not None]
    if not rows:
        return None
    labels = [row.name(words) for row in rows]
    described = [
        words("fix.row", name=label, mean=format_number(row.value), seeds=len(row.by_seed))
        for label, row in zip(labels, rows, strict=True)
    ]
    spread = [value for row in rows for value in (row.value, *row.by_seed)]
    plot = Plot(
        words("semicolon").join(described),
        axes.objective(metric, spread, maximized=True),
        Axis("", CHOICE, choices=tuple(reversed(labels))),
        HALF,
        ROW * len(rows) + 36,
        left=margin(labels, HALF),
    )
    for label, row, told in zip(labels, rows, described, strict=True):
        up = plot.y.place(label) or 0.0
        for value in row.by_seed:
            plot.dot(plot.x.place(value) or 0.0, up, row.look, f"{label}: {format_number(value)}")
        plot.mark(plot.x.place(row.value) or 0.0, up, row.look, told)
    title = capitalized(words("fix.title", metric=metric))
    looks = dict.fromkeys(row.look for row in rows if row.place)
    legend = [(look, words(f"fix.{look}")) for look in looks]
    return figure(title, plot.svg(), legend, "alone", words("fix.note"))


def fix_summary(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns the record of fix.json as a rich renderable: before, each attempt, the result; lang is "en" or "zh".

    Raises:
        UserError: the record is damaged.
    """
    from rich.console import Group
    from rich.text import Text

    from tfday7.core.printing import printable

    words = Words(lang)
    found = fix(record, words)
    if found is None:
        return Group()
    lines = [found.sentence, *(part for part in (found.test, found.effort) if part)]
    parts: list[Any] = [Text(printable(line), "" if index else "bold") for index, line in enumerate(lines)]
    parts += [Text(), _table(found, words)]
    if found.command:
        parts += [Text(), Text(printable(words("fix.winner", command=found.command)))]
    return Group(*parts)


def _table(found: Fix, words: Words) -> Any:
    from rich.table import Table
    from rich.text import Text

    from tfday7.core.printing import printable

    drawn = Table.grid(padding=(0, 2, 0, 0))
    for side in ("right", "right", "left", "left"):
        drawn.add_column(justify=side, no_wrap=side == "right", overflow="fold")
    for row in (found.before, *found.attempts):
        cells = (format_number(row.value), signed(row.difference), row.name(words), outcome(row, words))
        drawn.add_row(*(Text(printable(cell)) for cell in cells))
    return drawn


def outcome(row: Attempt, words: Words) -> str:
    """Returns whether an attempt was kept, and why not."""
    if row.look == "before":
        return ""
    kept = words("fix.kept" if row.kept else "fix.dropped")
    return words("note.reason", name=kept, reason=row.reason) if row.reason else kept


def signed(difference: float | None) -> str:
    """Returns a difference with its sign; unknown is empty."""
    return "" if difference is None else f"{difference:+.4f}"


def _attempt(trial: dict[str, Any], before: list[float | None], look: str, words: Words, place: int = 0) -> Attempt:
    flags = mapping(trial.get("flags"), "fix.json: flags")
    seeds = _by_seed(trial)
    value = number(trial.get("value"))
    return Attempt(
        flags=tuple(f"--{name}={string(flag)}" for name, flag in flags.items()),
        remedy=_remedy(string(trial.get("remedy")), words),
        value=value,
        by_seed=tuple(seed for seed in seeds if seed is not None)[:MAX_SEEDS],
        difference=_difference(seeds, before),
        kept=trial.get("kept") is True,
        reason=_reason(trial, words),
        look=look,
        place=place,
    )


def _by_seed(trial: Mapping[str, Any]) -> list[float | None]:
    listed = trial.get("by_seed")
    return [number(value) for value in listed] if isinstance(listed, list) else []


def _difference(after: list[float | None], before: list[float | None]) -> float | None:
    """Returns the difference of the means of the seeds that trained both; None where one of those has no value."""
    pairs = list(zip(after, before, strict=False))
    known = [one - other for one, other in pairs if one is not None and other is not None]
    return statistics.fmean(known) if len(known) == len(pairs) > 0 else None


def _kept_original(record: Mapping[str, Any], tried: list[dict[str, Any]]) -> str:
    """Returns the key of the sentence that says why the original was kept."""
    if not tried:
        return "fix.none_tried"
    if any(trial.get("reason") == text("repair.reason.undecided") for trial in tried):
        return "fix.undecided"
    return "fix.kept_with_seed" if len(_seeds(record)) == 1 else "fix.kept_original"


def _reason(trial: Mapping[str, Any], words: Words) -> str:
    """Returns why a remedy was kept or not; records of earlier versions have it in English alone."""
    reasons = mappings(trial.get("reasons"), "fix.json: reasons")
    if not reasons:
        written = string(trial.get("reason"))
        return words.recorded(written, "", trial) or written
    told = [words.recorded(string(each.get("id")), string(each.get("text")), each) for each in reasons]
    return words("fix.reasons").join(told)


def _remedy(identifier: str, words: Words) -> str:
    return words.recorded(identifier, "", {}) or identifier


def _test(record: Mapping[str, Any], words: Words) -> str:
    measured = mapping(record.get("test"), "fix.json: test")
    before, after = (number(measured.get(name)) for name in ("before", "after"))
    if before is None or after is None:
        return ""
    told = words("fix.improved_test", before=format_number(before), after=format_number(after))
    return words("sentences").join([told, *([words("fix.worse_test")] if after < before else [])])


def _seeds(record: Mapping[str, Any]) -> list[str]:
    """Returns the seeds that trained; earlier versions recorded those that might have."""
    tried = mappings(record.get("attempts"), "fix.json: attempts")
    lists = [trial.get("by_seed") for trial in (mapping(record.get("before"), "fix.json: before"), *tried)]
    most = max(len(strings(values)) for values in lists)
    return strings(record.get("seeds"))[: min(most or MAX_SEEDS, MAX_SEEDS)]


def _effort(record: Mapping[str, Any], words: Words) -> str:
    trainings, seeds = count(record.get("trainings")), _seeds(record)
    if not trainings:
        return ""
    effort = words(
        "fix.effort_seed" if len(seeds) == 1 else "fix.effort",
        trainings=trainings,
        seeds=words("names").join(seeds),
        duration=format_duration(number(record.get("seconds"))),
    )
    spread = number(record.get("spread"))
    if spread is None:  # Fewer than two trainings of the original ended with a score.
        return effort
    return words("sentences").join([effort, words("fix.spread", spread=format_number(spread))])
