"""Advice on distribution on the terminal: nothing of the record is lost, in both languages and on 80 columns."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from tfday7.core.texts import LANGUAGES, text
from tfday7.distribution.advising.advice import advise
from tfday7.distribution.advising.hardware import Hardware
from tfday7.optimizers.situation import Situation
from tfday7.reporting import distribution_advice
from tfday7.reporting.distribution_advice import duration

MILLION, BILLION = 10**6, 10**9
CASES: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (300 * MILLION, {"accelerator": "a100_80"}, {}),
    (300 * MILLION, {"accelerator": "t4"}, {"devices": 4}),
    (7 * BILLION, {"accelerator": "a100_80", "precision": "mixed_bfloat16"}, {"devices": 16}),
    (30 * BILLION, {"accelerator": "t4"}, {"devices": 4}),
    (25 * MILLION, {}, {"devices": 2, "device_memory_gb": 16.0, "model_kind": "cnn"}),
]


def told(case: int, lang: str, width: int = 80) -> tuple[dict[str, Any], str]:
    parameters, devices, situation = CASES[case]
    record = advise(Hardware(**devices), Situation(parameters=parameters, **situation)).to_json(lang)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(distribution_advice(record, lang))
    return record, console.export_text()


def squeezed(page: str) -> str:
    return re.sub(r"[\s\\]", "", page)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_everything_that_the_record_says_is_on_the_page(case: int, lang: str) -> None:
    record, page = told(case, lang)
    shown = squeezed(page)
    claims = [*record["reasons"], *record["formulas"], *record["notes"], *record["relax"], *record["left_out"]]
    sentences = [claim["text"] for claim in claims] + record["flags"]
    sentences += [plan["name"] for plan in (*record["candidates"], *record["left_out"])]
    sentences += [claim["source"] for claim in (*record["reasons"], *record["formulas"])]
    assert [sentence for sentence in sentences if squeezed(sentence) not in shown] == []
    assumed = [name for name, origin in record["origins"].items() if origin == "assumed"]
    assert all(f"--{name}=" in shown for name in assumed)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_it_fits_a_terminal_of_80_columns_and_no_cell_is_cut(case: int, lang: str) -> None:
    from rich.cells import cell_len

    _, page = told(case, lang)
    assert all(cell_len(line.rstrip()) <= 80 for line in page.splitlines())
    assert "…" not in page


@pytest.mark.parametrize(("lang", "words"), [("en", "Train on 16 devices"), ("zh", "在 16 个设备上训练")])
def test_the_headline_is_the_plan(lang: str, words: str) -> None:
    _, page = told(2, lang)
    first = squeezed("".join(page.splitlines()[:2]))
    assert squeezed(words) in first
    assert "--strategy=hybrid--mesh=batch:4,model:4" in first


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_there_is_to_say_has_its_heading(case: int, lang: str) -> None:
    record, page = told(case, lang)
    lines = {line.rstrip() for line in page.splitlines()}
    for name, part in (("left_out", "left_out"), ("relax", "relax"), ("notes", "notes"), ("add", "flags")):
        assert (text(f"distribution.label.{name}", lang) in lines) == bool(record[part])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_chosen_plan_is_marked_and_those_that_are_too_large_too(lang: str) -> None:
    record, page = told(2, lang)
    for plan in record["candidates"]:
        mark = ">" if plan["chosen"] else " " if plan["fits"] else "*"
        assert f"\n{mark} {plan['name']} " in page


def test_the_table_of_memory_shows_each_part_of_the_plan() -> None:
    record, page = told(1, "en")
    memory = page[page.index("Memory on each device") : page.index("Every way")]
    for part in ("weights", "gradients", "optimizer", "activations", "total"):
        assert re.search(rf"\n *{text(f'distribution.part.{part}')} +\S+ [GM]B +\S+ [GM]B", memory)
    assert "16-bit copies" not in memory  # Float32 has none.
    assert record["candidates"][1]["memory"]["casts"] == 0


def test_the_flags_are_words_for_a_shell() -> None:
    record, page = told(2, "en")
    command = page[page.index("Add to the training command") :].split("\n", 1)[1]
    assert command.replace("\\", " ").split() == record["flags"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "?"), (0.0, "-"), (2e-5, "20 us"), (0.00123, "1.2 ms"), (0.163, "163 ms"), (7.64, "7.6 s"),
     (150.0, "2.5 min"), (9000.0, "2.5 h"), (720_000.0, "200 h")],
)  # fmt: skip
def test_times_take_few_letters(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
