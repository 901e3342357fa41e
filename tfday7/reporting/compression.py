"""The candidates of a compression: a table, the chosen one in words, and two plots of what is possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.units import format_bytes, format_count, format_number
from tfday7.reporting import axes
from tfday7.reporting.figures import Figure, figure
from tfday7.reporting.plot import HALF, Plot
from tfday7.reporting.records import count, mapping, mappings, number, string, strings
from tfday7.reporting.words import Words, capitalized

if TYPE_CHECKING:
    from rich.console import Group

MAX_CANDIDATES = 300  # On the page; on the terminal:
TERMINAL_CANDIDATES = 60
MAX_DESCRIBED = 40  # In the words that stand for a plot.
MAX_STEPS = 400  # Characters of a recipe.
MAX_LINES = 40
MAX_NAMES = 6
COLUMNS = ("validation", "test", "size", "gzip", "latency", "ratio", "spread", "parameters", "macs", "memory")
# Of the terminal's table, those that go first where it is narrow.
EXPENDABLE = ("spread", "memory", "parameters", "macs", "size", "latency")


@dataclasses.dataclass(frozen=True)
class Row:
    """A candidate as it is shown.

    Attributes:
        state: "baseline", "chosen", "frontier", "beaten" or "failed".
        cells: by the names of `COLUMNS`; empty for what is unknown.
        value, gzip_bytes, ratio: for the plots; None where unknown.
        told: its figures and its recipe in words.
        steps: its recipe alone.
    """

    name: str
    state: str
    cells: dict[str, str]
    value: float | None
    gzip_bytes: float | None
    ratio: float | None
    told: str
    steps: str


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What the page and the terminal show of a compression.

    Attributes:
        sentences: what came of it; the first is the headline.
        rows: the given model's own file, then the candidates.
        notes, left: remarks, and what techniques left alone.
        groups: (name, before, after) of what the chosen one's steps have done: channels, weights that are not zero,
            different weights.
        costs: of each group of channels, what half of it is worth: name, channels, metric, MACs, parameters.
        outside: which limits candidates break, and what a search left out before training.
        path, command, remake, metric, chosen: of the record; `remake` is the command that makes the chosen one alone.
    """

    sentences: list[str]
    rows: list[Row]
    notes: list[str]
    left: list[str]
    groups: list[tuple[str, str, str]]
    costs: list[tuple[str, ...]]
    outside: list[str]
    path: str
    command: str
    remake: str
    metric: str
    chosen: str


def compressed(record: Mapping[str, Any], lang: str, most: int = MAX_CANDIDATES) -> Compressed | None:
    """Returns what compression.json says of so many candidates; None for an empty record.

    Raises:
        UserError: the record is damaged.
    """
    if not record:
        return None
    words = Words(lang, "compressed")
    where = "compression.json"
    baseline = mapping(record.get("baseline"), f"{where}: baseline")
    made, chosen = mappings(record.get("candidates"), f"{where}: candidates"), string(record.get("chosen"))
    candidates = _shown(made, {chosen, *strings(record.get("nearest"))}, most)
    name = string(mapping(baseline.get("metric"), f"{where}: metric").get("name"))
    metric = Words(lang).metric(name)
    rows = [_row(one, _state(one, chosen), metric, words) for one in candidates]
    rows.insert(0, _row(baseline, "baseline", metric, words))
    # Of a search's many candidates the remarks of what was chosen are enough; compression.json has all.
    told = [one for one in made if one.get("name") == chosen or one.get("failure")]
    told = told if record.get("search") else made
    winner = next((one for one in made if _state(one, chosen) == "chosen"), None)
    more = [words("shown", shown=len(candidates), number=len(made))] if len(made) > len(candidates) else []
    return Compressed(
        sentences=_sentences(record, winner, rows, metric, words),
        rows=rows,
        notes=[*more, *_notes([baseline, *told], words)],
        left=_left(told, words),
        groups=_groups(winner, words),
        costs=_costs(record),
        outside=_outside(record, words),
        path=string(winner.get("path")) if winner else "",
        command=string(record.get("command")),
        remake=string(record.get("command_of_chosen")),
        metric=metric,
        chosen=chosen,
    )


def _shown(candidates: list[dict[str, Any]], first: set[str], most: int) -> list[dict[str, Any]]:
    """Returns the candidates that a table has room for, in their order: those of these names, the frontier, others."""
    ranked = sorted(
        range(len(candidates)),
        key=lambda at: (string(candidates[at].get("name")) not in first, candidates[at].get("pareto") is not True, at),
    )
    return [candidates[at] for at in sorted(ranked[:most])]


def figures(found: Compressed, lang: str) -> list[Figure]:
    """Returns the metric against packed size and against latency; each left out where nothing was measured."""
    words = Words(lang, "compressed")
    drawn = []
    for key, axis_name, places in (
        ("by_size", "size_axis", [row.gzip_bytes / 1000 if row.gzip_bytes else None for row in found.rows]),
        ("by_latency", "latency_axis", [row.ratio for row in found.rows]),
    ):
        known = [(row, at) for row, at in zip(found.rows, places, strict=True) if at is not None]
        if len([1 for row, _ in known if row.value is not None]) > 1:
            drawn.append(_scatter(words(key, metric=capitalized(found.metric)), words(axis_name), known, found, words))
    return drawn


def _scatter(title: str, x_name: str, known: list[tuple[Row, float]], found: Compressed, words: Words) -> Figure:
    values = [row.value for row, _ in known]
    x = axes.numeric(x_name, [0.0, *(at * 1.04 for _, at in known)])
    first = sorted((row for row, _ in known), key=lambda row: row.state == "beaten")[:MAX_DESCRIBED]
    plot = Plot("; ".join(row.told for row in first), x, axes.objective(found.metric, values, maximized=True), HALF)
    looks = {"chosen": "best", "frontier": "series2", "beaten": "trial", "baseline": "series1"}
    for row, at in known:
        if row.value is not None and row.state in looks:
            across, up = plot.x.place(at), plot.y.place(row.value)
            plot.dot(across or 0.0, up or 0.0, looks[row.state], row.told, 5.0 if row.state == "chosen" else 4.0)
    shown = {row.state for row, _ in known}
    legend = [(look, words(f"is_{state}")) for state, look in looks.items() if state in shown]
    return figure(title, plot.svg(), legend, "half", words("plot_note", axis=x_name))


def compression_summary(record: Mapping[str, Any], folder: str, lang: str = "en") -> Group:
    """Returns the end of a compression as a rich renderable.

    Args:
        record: compression.json.
        folder: the run folder, where the report lies.
        lang: "en" or "zh".

    Raises:
        UserError: the record is damaged.
    """
    from rich.console import Group
    from rich.text import Text

    from tfday7.core.printing import printable
    from tfday7.core.run_folder import REPORT
    from tfday7.reporting.terminal import paths_table

    found = compressed(record, lang, TERMINAL_CANDIDATES)
    if found is None:
        return Group()
    parts: list[Any] = [Text(printable(line), "" if i else "bold") for i, line in enumerate(found.sentences)]
    parts += [Text(), _Table(found, Words(lang, "compressed")), Text()]
    parts += [Text(printable(line)) for line in [*found.notes, *found.left][:MAX_LINES]]
    places = [(found.chosen, found.path)] if found.path else []
    parts += [Text(), paths_table([*places, ("report", f"{folder}/{REPORT}")])]
    return Group(*parts)


class _Table:
    """The candidates as a rich renderable; on a narrow console it leaves columns out, not letters."""

    def __init__(self, found: Compressed, words: Words) -> None:
        self.found, self.words = found, words

    def __rich_console__(self, console: Any, options: Any) -> Any:
        columns = [name for name in COLUMNS if any(row.cells[name] for row in self.found.rows)]
        for name in EXPENDABLE:
            drawn = self._draw(columns)
            if drawn.__rich_measure__(console, options.update(max_width=200)).maximum <= options.max_width:
                break
            columns = [each for each in columns if each != name]
        yield self._draw(columns)

    def _draw(self, columns: list[str]) -> Any:
        from rich.table import Table
        from rich.text import Text

        from tfday7.reporting.terminal import printable

        drawn = Table.grid(padding=(0, 2, 0, 0))
        drawn.add_column(no_wrap=True, overflow="fold")
        for _ in columns:
            drawn.add_column(justify="right", no_wrap=True)
        drawn.add_column(no_wrap=True)
        drawn.add_row(*(Text(self.words(name), "dim") for name in ("name", *columns, "state")))
        for row in self.found.rows:
            cells = (row.name, *(row.cells[name] for name in columns), self.words(f"is_{row.state}"))
            drawn.add_row(*(Text(printable(cell)) for cell in cells))
        return drawn


def _row(one: dict[str, Any], state: str, metric: str, words: Words) -> Row:
    value = number(mapping(one.get("metric"), "compression.json: metric").get("value"))
    gzip_bytes, ratio, latency = (number(one.get(key)) for key in ("gzip_bytes", "latency_ratio", "latency_ms"))
    test, memory = number(one.get("test_metric")), number(one.get("peak_memory_bytes"))
    size, parameters, macs = (number(one.get(key)) for key in ("size_bytes", "parameters", "macs"))
    shown_ratio = "" if ratio is None else f"{ratio:.2f}x"
    low, high = ([number(each) for each in _listed(one.get("latency_spread"))] + [None, None])[:2]
    cells = {
        "validation": "" if value is None else format_number(value),
        "test": "" if test is None else format_number(test),
        "size": "" if size is None else format_bytes(size),
        "gzip": "" if gzip_bytes is None else format_bytes(gzip_bytes),
        "latency": "" if latency is None else f"{latency:.3g} ms",
        "ratio": shown_ratio,
        "spread": "" if low is None or high is None else f"{low:.2f}–{high:.2f}",
        "parameters": "" if parameters is None else format_count(count(parameters)),
        "macs": "" if macs is None else format_count(count(macs)),
        "memory": "" if memory is None else format_bytes(memory),
    }
    name = string(one.get("name"))
    told = words(
        "point", name=name, metric=metric, value=cells["validation"] or "?", size=cells["gzip"] or "?",
        ratio=shown_ratio or "?", steps=_steps(one),
    )  # fmt: skip
    return Row(name, state, cells, value, gzip_bytes, ratio, told, _steps(one))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _steps(one: dict[str, Any]) -> str:
    """Returns a recipe as words, for example "shrink ratio=0.5 epochs=3, quantize kind=int8"."""
    steps = mappings(mapping(one.get("recipe"), "compression.json: recipe").get("steps"), "compression.json: steps")
    told = ", ".join(
        " ".join([string(step.get("technique")), *(f"{k}={v}" for k, v in step.items() if k != "technique")])
        for step in steps
    )
    return told if len(told) <= MAX_STEPS else f"{told[:MAX_STEPS]}…"


def _state(one: dict[str, Any], chosen: str) -> str:
    if one.get("failure"):
        return "failed"
    if one.get("name") == chosen:
        return "chosen"
    return "frontier" if one.get("pareto") is True else "beaten"


def _sentences(
    record: Mapping[str, Any],
    winner: dict[str, Any] | None,
    rows: list[Row],
    metric: str,
    words: Words,
) -> list[str]:
    before = rows[0]
    if winner is None:
        if all(row.state == "failed" for row in rows[1:]):
            return [words("all_failed")]
        lines = [words("none", metric=metric, value=before.cells["validation"])]
        told_of = {row.name: row.told for row in rows}
        near = [told_of[name] for name in strings(record.get("nearest")) if name in told_of]
        lines += [
            words("next_nearest", told=told) if at else words("nearest", told=told) for at, told in enumerate(near)
        ]
        return lines + _searched(record, words)
    row = next(row for row in rows if row.state == "chosen")
    change = "?" if row.value is None or before.value is None else f"{row.value - before.value:+.4f}"
    told = {
        "name": row.name, "size": row.cells["gzip"], "size_before": before.cells["gzip"], "metric": metric,
        "value": row.cells["validation"], "change": change,
    }  # fmt: skip
    timed = row.cells["ratio"]
    lines = [words("chosen", latency=timed, **told) if timed else words("chosen_untimed", **told)]
    if row.cells["test"]:
        lines.append(words("tested", metric=metric, value=row.cells["test"], before=before.cells["test"]))
    return lines + _searched(record, words)


def _searched(record: Mapping[str, Any], words: Words) -> list[str]:
    """Returns what a search says of itself; nothing where recipes were given."""
    search = mapping(record.get("search"), "compression.json: search")
    tried, seconds, share = (number(search.get(key)) for key in ("candidates", "seconds", "overhead_share"))
    if tried is None or seconds is None or share is None:
        return []
    return [words("searched", number=count(tried), minutes=f"{seconds / 60.0:.1f}", share=f"{share:.1%}")]


def _outside(record: Mapping[str, Any], words: Words) -> list[str]:
    where = "compression.json: outside"
    lines = []
    for name, broken in mapping(record.get("outside"), where).items():
        parts = []
        for each in mappings(broken, where):
            value, allowed = (number(each.get(key)) for key in ("value", "allowed"))
            shown = words("unknown_value") if value is None else f"{value:.4g}"
            limit = words("allowed", value="?" if allowed is None else f"{allowed:.4g}")
            parts.append(f"--{string(each.get('limit'))}: {shown} ({limit})")
        lines.append(words("outside_line", name=string(name), reason=words("and").join(parts)))
    search = mapping(record.get("search"), "compression.json: search")
    rejected = mapping(search.get("rejected"), "compression.json: rejected")
    alike: dict[str, list[str]] = {}
    for name, why in rejected.items():
        alike.setdefault(string(why).partition(":")[0], []).append(string(name))
    for reason, names in alike.items():
        lines.append(words("rejected_line", number=len(names), reason=reason, names=", ".join(names[:MAX_NAMES])))
    return lines[: 2 * MAX_LINES]


def _costs(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    search = mapping(record.get("search"), "compression.json: search")
    found = []
    for each in mappings(search.get("groups"), "compression.json: groups"):
        drop, *saved = (
            number(each.get(key)) for key in ("metric_drop", "macs_saved", "parameters_saved", "latency_saved")
        )
        shares = ("?" if share is None else f"{share:.1%}" for share in saved)
        told = "?" if drop is None else f"{-drop:+.4f}"
        found.append((string(each.get("name")), string(each.get("channels")), told, *shares))
    return found[: 2 * MAX_LINES]


def _notes(candidates: list[dict[str, Any]], words: Words) -> list[str]:
    lines = [
        words("failed_line", name=string(one.get("name")), reason=string(one.get("failure")))
        for one in candidates
        if one.get("failure")
    ]
    noted = [(string(one.get("name")), note) for one in candidates for note in strings(one.get("notes"))]
    return [*lines, *(words("note_line", name=name, reason=note) for name, note in noted)][:MAX_LINES]


def _left(candidates: list[dict[str, Any]], words: Words) -> list[str]:
    return [
        words("left_line", name=string(one.get("name")), **{k: string(each.get(k)) for k in _SKIPPED})
        for one in candidates
        for each in mappings(one.get("skipped_layers"), "compression.json: skipped_layers")
    ][:MAX_LINES]


_SKIPPED = ("technique", "layer", "reason")


def _groups(winner: dict[str, Any] | None, words: Words) -> list[tuple[str, str, str]]:
    """Returns (name, before, after) of what the chosen one's steps have done to groups of channels and to layers."""
    found = []
    for step in mappings((winner or {}).get("steps"), "compression.json: steps"):
        for group in mappings(step.get("groups"), "compression.json: groups"):
            name, before, after = (string(group.get(key)) for key in ("name", "before", "after"))
            found.append((name, words("of_channels", number=before), words("of_channels", number=after)))
        for layer in mappings(step.get("layers"), "compression.json: layers"):
            weights, zeros, values = (number(layer.get(key)) for key in ("weights", "zeros", "values"))
            sizes = [number(each) for each in _listed(layer.get("parameters"))]
            if len(sizes) == 2 and None not in sizes:  # A layer that became two thin ones.
                told = [words("of_weights", number=count(size)) for size in sizes]
                found.append((string(layer.get("layer")), told[0], told[1]))
            if weights is None:
                continue
            after = "" if values is None else words("of_values", number=count(values))
            if not after and zeros is not None:
                after = words("of_nonzeros", number=count(weights - zeros))
            if after:
                found.append((string(layer.get("weight")), words("of_weights", number=count(weights)), after))
    return found[: 2 * MAX_LINES]
