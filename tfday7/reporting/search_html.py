"""Renders the report of a search: one self-contained file, like that of a run, from tuning.json alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.run_folder import BEST_FLAGS, FLAGS, REPORT, RunFolder
from tfday7.reporting import search_axes, search_charts, search_details, seed_charts
from tfday7.reporting.html import page
from tfday7.reporting.parallel import reason
from tfday7.reporting.records import mapping
from tfday7.reporting.search_records import SearchRecords, plain, read
from tfday7.reporting.words import Words, capitalized

TEMPLATE = "search.html.j2"
ROWS, COLUMNS = 500, 12  # Of the table of trials.


def write_search_report(folder: RunFolder, lang: str = "en") -> Path:
    """Writes `report.html` of a search.

    Args:
        folder: the search's folder.
        lang: "en" or "zh".

    Raises:
        UserError: the search has not ended, its record is damaged, or the folder cannot be written.
    """
    path = folder / REPORT
    files.write_bytes(path, render_search(read(folder), lang).encode("utf-8", "replace"))
    return path


def render_search(records: SearchRecords, lang: str) -> str:
    """Returns the page."""
    words, say = Words(lang), Words(lang, "search")
    unit = search_details.objective(records.objective, words, say)
    headline = search_details.headline(records, unit, say)
    values = {
        "s": say,
        "records": records,
        "title": f"{records.name}: {headline}",
        "headline": headline,
        "lead": search_details.lead(records, say),
        "unit": capitalized(unit),
        "tiles": search_details.tiles(records, unit, say),
        "settings": mapping(records.best.get("flags"), "tuning.json: flags").items(),
        "command": f"python -m tfday7.train --flagfile={shlex.quote(str(records.path / BEST_FLAGS))}",
        "optimizers": search_details.optimizers(records),
        "range_notes": search_details.ranges(records, say),
        "run_details": search_details.of_search(records, words, say),
        "again": f"python -m tfday7.tune --flagfile={shlex.quote(str(records.path / FLAGS))} --run_dir=NEW",
        **_figures(records, unit, say),
        **_table(records, say),
    }
    return page(TEMPLATE, words, values)


def _figures(records: SearchRecords, unit: str, say: Words) -> dict[str, Any]:
    found = search_axes.of_search(records)
    parallel = search_charts.all_trials(records, found, unit, say)
    beside = parallel is not None and parallel.look == "compact"
    trials = [parallel, search_charts.progress(records, unit, say, beside)]
    seeds = [seed_charts.training_curves(records, unit, say), seed_charts.seeds(records, unit, say)]
    return {
        "trial_figures": [figure for figure in trials if figure],
        "seed_figures": [figure for figure in seeds if figure],
        "range_figures": search_charts.ranges(records, found, unit, say),
        "importance": search_charts.importance(records, say),
    }


def _table(records: SearchRecords, say: Words) -> dict[str, Any]:
    names = list(dict.fromkeys(plain(key) for trial in records.trials for key in trial.values))
    return {
        "names": names[:COLUMNS],
        "rows": search_charts.drawn(records, ROWS),
        "reason": lambda trial: reason(trial, say),
    }
