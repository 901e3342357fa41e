"""Advice on distribution, as `tfday7.advise` shows it: the plan, memory by part, every plan's estimate, what to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.texts import text
from tfday7.core.units import format_bytes
from tfday7.reporting.commands import wrapped
from tfday7.reporting.optimizer_advice import Line
from tfday7.reporting.terminal import MAX_WIDTH

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

AREA = "distribution"
COMMAND = ("python", "-m", "tfday7.train")
COMMAND_WIDTH = 74  # With its indent it fits a terminal of 80 columns.
UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
MANY = 99.5  # From here on a number needs no more digits than it has.
UNKNOWN = "?"


def distribution_advice(record: Mapping[str, Any], lang: str = "en") -> Group:
    """Returns the record of `DistributionAdvice.to_json(lang)` as a rich renderable; lang is "en" or "zh"."""
    from rich.console import Group

    parts: list[Any] = [*_drawn(_top(record, lang))]
    parts += [*_drawn([(0, ""), (0, _label("memory", lang))]), _memory_table(record, lang)]
    parts += [*_drawn([(0, ""), (0, _label("plans", lang))]), _plan_table(record, lang)]
    parts += _drawn(_bottom(record, lang))
    return Group(*parts)


def _drawn(lines: Iterable[Line]) -> Iterator[Any]:
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.text import Text

    for indent, line in lines:
        style = "" if indent else "bold"
        if line:
            yield Constrain(Padding(Text(printable(line), style), (0, 0, 0, indent), expand=False), MAX_WIDTH)
        else:
            yield Text()


def _label(name: str, lang: str, /, **values: Any) -> str:
    return text(f"{AREA}.label.{name}", lang, **values)


def _chosen(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((plan for plan in record["candidates"] if plan["chosen"]), None)


def _binding(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the plan that needs least, where nothing fits."""
    return next(plan for plan in record["candidates"] if plan["name"] == record["binding"]["plan"])


def _top(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    yield from _headline(record, lang)
    yield 0, ""
    yield 0, _label("why", lang)
    for claim in record["reasons"]:
        yield from _claim(claim, 2, lang)
    if record["accumulation"]:
        yield from _claim(record["accumulation"], 2, lang)
    if record["relax"]:
        yield 0, ""
        yield 0, _label("relax", lang)
        yield from ((2, change["text"]) for change in record["relax"])


def _headline(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    plan = _chosen(record)
    usable = format_bytes(record["usable_bytes"])
    if plan is None:
        least = _binding(record)
        total = format_bytes(least["memory"]["total"])
        yield 0, _label("headline.nothing", lang, plan=least["name"], total=total, usable=usable)
        return
    values = {**plan, "total": format_bytes(plan["memory"]["total"]), "usable": usable}
    values["mesh"] = f" --mesh={plan['mesh']}" if plan["mesh"] else ""
    yield 0, _label("headline.one" if plan["devices"] == 1 else "headline.spread", lang, **values)
    if plan["devices"] > 1 and plan["efficiency"] is not None:
        yield 0, _label("headline.scaling", lang, **values)


def _memory_table(record: Mapping[str, Any], lang: str) -> Table:
    """One device beside the plan to take, or beside the one that needs least."""
    plan = _chosen(record) or _binding(record)
    shown = [record["candidates"][0], *([plan] if plan["devices"] > 1 else [])]
    table = _table(["", *(each["name"] for each in shown)])
    for part in plan["memory"]:
        if any(each["memory"][part] != 0 for each in shown):
            cells = ["-" if each["memory"][part] == 0 else format_bytes(each["memory"][part]) for each in shown]
            table.add_row(text(f"{AREA}.part.{part}", lang), *cells)
    usable = format_bytes(record["usable_bytes"])
    table.add_row(text(f"{AREA}.part.usable", lang), *([usable] * len(shown)))
    return table


def _plan_table(record: Mapping[str, Any], lang: str) -> Table:
    columns = ("plan", "micro", "memory", "compute", "exchange", "efficiency", "speedup")
    table = _table([_label(f"column.{name}", lang) for name in columns])
    for plan in record["candidates"]:
        seconds = plan["seconds"]
        sent = (seconds["data_parallel"], seconds["tensor_parallel"])
        known = [each for each in sent if each is not None]
        mark = ">" if plan["chosen"] else " " if plan["fits"] else "*"
        table.add_row(
            f"{mark} {plan['name']}",
            f"{plan['micro_batch']} x {plan['accumulate_steps']}",
            format_bytes(plan["memory"]["total"]),
            duration(seconds["compute"]),
            duration(sum(known) if len(known) == len(sent) else None),
            UNKNOWN if plan["efficiency"] is None else f"{plan['efficiency']:.0%}",
            UNKNOWN if plan["speedup"] is None else f"{plan['speedup']:.1f}x",
        )
    return table


def _table(headers: list[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    for place, header in enumerate(headers):
        left = place == 0
        table.add_column(header, justify="left" if left else "right", vertical="bottom", no_wrap=True)
    return table


def duration(seconds: float | None) -> str:
    """Returns a time in few letters, with two or three digits; "-" for none, "?" for None."""
    if seconds is None or seconds == 0:
        return UNKNOWN if seconds is None else "-"
    scale, unit = next((scale, unit) for scale, unit in UNITS if seconds >= scale or scale == UNITS[-1][0])
    value = seconds / scale
    return f"{value:.0f} {unit}" if value >= MANY else f"{value:.2g} {unit}"


def _bottom(record: Mapping[str, Any], lang: str) -> Iterator[Line]:
    if record["left_out"]:
        yield 0, ""
        yield 0, _label("left_out", lang)
    for sentence, names in _by_sentence(record["left_out"]).items():
        yield 2, _label("entry", lang, plans=_label("separator", lang).join(names), sentence=sentence)
    yield 0, ""
    yield 0, _label("formulas", lang)
    for claim in record["formulas"]:
        yield from _claim(claim, 2, lang)
    if record["accelerator"]:
        kind = record["accelerator"]
        yield 2, _label("accelerator", lang, accelerator=kind["name"], source=kind["source"])
    if record["notes"]:
        yield 0, ""
        yield 0, _label("notes", lang)
        yield from ((2, note["text"]) for note in record["notes"])
    assumed = [name for name, origin in record["origins"].items() if origin == "assumed"]
    if assumed:
        flags = _label("separator", lang).join(f"--{name}={_value(record['inputs'][name])}" for name in assumed)
        yield 0, ""
        yield 2, _label("assumed", lang, names=flags)
    if record["flags"]:
        yield from _command(list(record["flags"]), lang)


def _command(flags: list[str], lang: str) -> Iterator[Line]:
    whole = any(flag.startswith("--data=") for flag in flags)
    yield 0, ""
    yield 0, _label("run" if whole else "add", lang)
    yield from ((2, line) for line in wrapped([*COMMAND, *flags] if whole else flags, COMMAND_WIDTH))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_sentence(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the plans that the same sentence is true of, in their order."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry["text"], []).append(entry["name"])
    return found


def _claim(claim: Mapping[str, Any], indent: int, lang: str) -> Iterator[Line]:
    yield indent, claim["text"]
    yield indent + 2, _label("source", lang, source=claim["source"])
