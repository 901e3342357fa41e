"""The end of a search on the terminal: the best trial, its spread, what mattered, and how to train it.

Everything shown comes from tuning.json.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.records import understood
from tfday7.core.run_folder import BEST_FLAGS, TUNING, RunFolder
from tfday7.core.texts import text
from tfday7.core.units import format_count
from tfday7.reporting.search_records import ANEW, read

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SHOWN = 5


def search_summary(folder: RunFolder, lang: str = "en", report: Path | None = None) -> Group:
    """Returns the end of a search as a rich renderable.

    Args:
        folder: the search's folder.
        lang: "en" or "zh".
        report: where the report was written.

    Raises:
        UserError: the record is missing or damaged.
    """
    record = read(folder).record
    with understood(folder / TUNING, ANEW):
        return _summary(record, folder, lang, report)


def _summary(record: Mapping[str, Any], folder: RunFolder, lang: str, report: Path | None) -> Group:
    from rich.console import Group
    from rich.text import Text

    first, *sentences = sentences_of(record, lang)
    parts: list[Any] = [Text(printable(first), style="bold"), *(Text(printable(line)) for line in sentences), Text()]
    if record.get("compare"):
        parts += [Text(text("search.compare", lang), style="bold"), _compared(record["compare"], lang), Text()]
    parts += [Text(text("search.trials", lang), style="bold"), _trials(record, lang), Text()]
    command = text("search.train", lang, path=shlex.quote(str(folder / BEST_FLAGS)))
    ends = [command] + [text("search.page.report", lang, path=report)] * (report is not None)
    whole = [Text(printable(line), no_wrap=True, overflow="ignore") for line in ends]  # To be copied.
    return Group(*parts, *whole)


def sentences_of(record: Mapping[str, Any], lang: str) -> Iterator[str]:
    """Yields what a search has found, a sentence each, the headline first."""
    best, trials = record["best"], record["trials"]
    objective = record["objective"]["name"]
    yield text(
        "search.headline", lang, count=format_count(len(trials)), objective=objective, value=shown(best["value"]),
        number=best["trial"],
    )  # fmt: skip
    spread, seeds = best["spread"], len(best["reruns"])
    failed = sum(rerun["value"] is None for rerun in best["reruns"])
    if spread:
        name = "search.spread" if seeds - failed > 1 else "search.one_seed"
        yield text(name, lang, seeds=seeds - failed, mean=shown(spread["mean"]), std=shown(spread["std"]))
    if failed:
        yield text("search.seeds_failed", lang, failed=failed, seeds=seeds)
    infeasible = sum(trial["value"] is None for trial in trials)
    if infeasible:
        yield text("search.infeasible", lang, count=infeasible)
    if record["widened"]:
        yield text("search.widened", lang, names=", ".join(each["name"] for each in record["widened"]))
    if best["at_bound"]:
        yield text("search.at_bound", lang, names=", ".join(best["at_bound"]))
    if record["importance"]:
        shares = "  ".join(f"{each['name']} {each['share']:.0%}" for each in record["importance"])
        yield f"{text('search.importance', lang)}: {shares}"
    else:
        yield text("search.too_few", lang)
    target = record["target"]
    if target and target["reached"]:
        reached = target["reached"]
        yield text(
            "search.target", lang, target=shown(target["value"]), number=reached["trial"],
            seconds=f"{reached['seconds']:.0f}",
        )  # fmt: skip
    elif target:
        yield text("search.target_missed", lang, target=shown(target["value"]))


def shown(value: Any) -> str:
    """Returns a value as people read it: four significant digits, or the word that it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def ranked(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the feasible trials, the best first."""
    feasible = [trial for trial in record["trials"] if trial["value"] is not None]
    return sorted(feasible, key=lambda trial: trial["value"], reverse=record["objective"]["direction"] == "max")


def _trials(record: Mapping[str, Any], lang: str) -> Table:
    best = [(trial, _plain(trial["values"])) for trial in ranked(record)[:SHOWN]]
    names = list(dict.fromkeys(name for _, values in best for name in values))
    header = [text("search.column.number", lang), record["objective"]["name"], *names]
    rows = [
        [str(trial["number"]), shown(trial["value"]), *(shown(values.get(name, "")) for name in names)]
        for trial, values in best
    ]
    return _table(header, rows)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial's values by their flags: its optimizer's own "adam.beta_1" is --beta_1."""
    return {key.rpartition(".")[2]: value for key, value in values.items()}


def _compared(compared: Mapping[str, Any], lang: str) -> Table:
    target = shown(compared["target"])
    failed = any(row.get("failed") for row in compared["optimizers"])
    header = [text("search.column.optimizer", lang)] + [
        text(f"search.column.{name}", lang, target=target)
        for name in ("mean", "std", "epochs", "seconds", "infeasible", *["failed"] * failed)
    ]
    rows = []
    for row in compared["optimizers"]:
        spread = row["spread"] or {"mean": None, "std": None}
        figures = [spread["mean"], spread["std"], row["epochs_to_target"], row["seconds_to_target"], row["infeasible"]]
        figures += [row.get("failed")] * failed
        rows.append([row["optimizer"], *("?" if figure is None else shown(figure) for figure in figures)])
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(header):
        drawn.add_column(Text(printable(title)), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    return drawn
