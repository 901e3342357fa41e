"""Renders report.html: one file that needs no network, no script and no other file.

Every value is escaped by the template engine. The Content-Security-Policy allows the page's own style sheet, by its
hash, and nothing else: should a hostile name ever slip through, it still could not run or load anything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7 import __version__
from tfday7.core import files
from tfday7.core.run_folder import REPORT, RunFolder
from tfday7.core.units import format_bytes, format_count, format_duration, format_number
from tfday7.reporting import compression as compressing
from tfday7.reporting import details, phrases
from tfday7.reporting import fix as fixing
from tfday7.reporting.comparison import compare, latency, memory
from tfday7.reporting.findings import verdict
from tfday7.reporting.headline import headline, milliseconds, tiles
from tfday7.reporting.layers import layers as probed
from tfday7.reporting.layers import shown as layer_value
from tfday7.reporting.records import RunRecords, count, mapping, number, read, string
from tfday7.reporting.references import references_figure
from tfday7.reporting.search import shown
from tfday7.reporting.words import Words, capitalized

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "report.html.j2"
STYLE = "style.css"
MAX_TEXT = 4000  # Characters of one value; keeps the file below 2 MB however large a record is.
MAX_ENTRIES = 100
HTML_LANGUAGES = {"en": "en", "zh": "zh-Hans"}


def write_report(folder: RunFolder, lang: str = "en") -> Path:
    """Writes `report.html` from what lies in the run folder; a record that is missing has its section left out.

    Args:
        folder: the run folder.
        lang: "en" or "zh".

    Raises:
        UserError: a record is damaged, or the folder cannot be written.
    """
    path = folder / REPORT
    files.write_bytes(path, render(read(folder), lang).encode("utf-8", "replace"))
    return path


def render(records: RunRecords, lang: str) -> str:
    """Returns the page."""
    words = Words(lang)
    return page(TEMPLATE, words, context(records, words))


def page(template: str, words: Words, values: dict[str, Any]) -> str:
    """Returns a template filled in, with the style sheet and the policy that lets a browser use that alone."""
    style = _source(STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    frame = {"t": words, "style": style, "style_hash": f"sha256-{digest}", "version": __version__}
    return _environment().get_template(template).render(**frame, lang=HTML_LANGUAGES[words.lang], **values)


def context(records: RunRecords, words: Words) -> dict[str, Any]:
    """Returns everything that the template shows, computed."""
    table, found = compare(records), verdict(records, words)
    layers = probed(records, words, {finding.layer for finding in found.findings})
    sentence = headline(found, table, words)
    return {
        "records": records,
        "title": f"{records.name}: {sentence}",
        "verdict": found,
        "table": table,
        "headline": sentence,
        "tiles": tiles(records, table, words),
        "artefacts": [
            (row, details.of_artefact(artefact, words))
            for row, artefact in zip(table.rows, records.artefacts, strict=True)
        ],
        "timings": records.benchmark,
        "started": details.started(records),
        "run_details": details.of_run(records, words),
        "command": details.command(records),
        "s": Words(words.lang, "search"),
        "range_test": _range_test(records, words),
        "references": references_figure(records, words),
        "layers": layers,
        "anchors": layers.anchors if layers else {},
        **_fix(records, words),
        **_compression(records, words),
        **_curves(records, words),
    }


def _curves(records: RunRecords, words: Words) -> dict[str, Any]:
    if not records.metrics:
        return {"plots": [], "rate": None, "epochs": [], "epoch_names": [], "best_epoch": None}
    from markupsafe import Markup

    from tfday7.reporting import charts, svg
    from tfday7.reporting.history import history, milestones

    curves = history(records)
    drawn = charts.charts(curves, words)
    return {
        "plots": [(chart, Markup(svg.draw(chart))) for chart in drawn],  # noqa: S704 - drawn from numbers, tested
        "rate": charts.constant_rate(curves),
        "epochs": [records.metrics[index] for index in milestones(curves)],
        "epoch_names": [name for name in curves.curves if name != "seconds"][:12],
        "best_epoch": curves.best_epoch,
    }


def _fix(records: RunRecords, words: Words) -> dict[str, Any]:
    found = fixing.fix(records.fix, words)
    metric = words.metric(string(records.fix.get("metric")))
    return {"fix": found, "fix_figure": fixing.fix_figure(found, metric, words) if found else None}


def _compression(records: RunRecords, words: Words) -> dict[str, Any]:
    found = compressing.compressed(records.compression, words.lang)
    columns = [name for name in compressing.COLUMNS if found and any(row.cells[name] for row in found.rows)]
    drawn = compressing.figures(found, words.lang) if found else []
    return {
        "compressed": found,
        "compression_figures": drawn,
        "compression_columns": columns,
        "c": Words(words.lang, "compressed"),
    }


def _range_test(records: RunRecords, words: Words) -> Any:
    from tfday7.reporting.range_test import range_test

    return range_test(records, words.lang)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clipped,
    )
    environment.filters |= {
        "bytes": format_bytes,
        "count_format": lambda value: format_count(count(value)),
        "duration": format_duration,
        "value": _value,
        "shown": shown,
        "figure": lambda value: "?" if value is None else shown(value),
        "score": lambda value: format_number(number(value)),
        "known_number": number,
        "recorded": _recorded,
        "milliseconds": milliseconds,
        "relative": phrases.relative,
        "agreement": phrases.agreement,
        "reasons": phrases.reasons,
        "latency": latency,
        "memory": memory,
        "wrong": _wrong,
        "text": string,
        "capitalized": capitalized,
        "layer_value": layer_value,
        "signed": fixing.signed,
        "outcome": fixing.outcome,
        "few": lambda entries: entries[:MAX_ENTRIES],
    }
    return environment


def _wrong(row: dict[str, Any], words: Words) -> str:
    """Returns that a device's answers to the test vectors are not those that were expected; "" where they are."""
    parity = mapping(row.get("parity"), "benchmark.json: parity")
    if parity.get("holds") is not False:
        return ""
    largest, allowed = (format_number(number(parity.get(name))) for name in ("largest_difference", "tolerance"))
    return words("latency.wrong", largest=largest, allowed=allowed)


def _source(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _clipped(value: Any) -> Any:
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup) and len(value) > MAX_TEXT:
        return value[:MAX_TEXT] + "…"
    return value


def _value(value: Any) -> str:
    """Returns a recorded value: whole numbers as they are, others with four decimals, text as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return format_count(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else format_number(value)
    return string(value)


def _recorded(value: Any, name: str) -> str:
    """Returns a value of metrics.jsonl; learning rates span decades and are shown with three digits instead."""
    found = number(value)
    return f"{found:.3g}" if name == "learning_rate" and found is not None else format_number(found)
