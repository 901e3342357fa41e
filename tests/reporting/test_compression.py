"""What the page and the terminal show of compression.json; damaged and hostile records too."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from reporting.compression_records import OUTSIDE, SEARCH, candidate, record
from rich.console import Console

import tfday7.reporting
from tfday7.core.errors import UserError
from tfday7.reporting import compression


def drawn(given: dict[str, Any], lang: str = "en", width: int = 140) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(compression.compression_summary(given, "runs/x", lang))
    return console.export_text()


def test_the_chosen_one_is_told_beside_the_original() -> None:
    text = drawn(record())
    assert "small: 20.0 kB of 300.0 kB packed, 0.40x of the float32 latency" in text.replace("\n", " ")
    assert "0.9000 (-0.0100) on validation examples" in text.replace("\n", " ")
    assert "0.8990 (0.9050 before)" in text.replace("\n", " ")
    assert "broken failed: no file" in text
    untimed = record()
    for one in untimed["candidates"]:
        one["latency_ratio"] = None
    said = " ".join(drawn(untimed).split())
    assert "20.0 kB of 300.0 kB packed, accuracy 0.9000 (-0.0100) on validation examples; no time was measured." in said


def test_a_narrow_console_loses_columns_and_no_digits() -> None:
    text = drawn(record(), width=60)
    assert "20.0 kB" in text
    assert max(len(line) for line in text.splitlines()) <= 60


def test_nothing_chosen_is_said_with_the_nearest() -> None:
    text = " ".join(drawn(record(chosen=None, nearest=["small"])).split())
    assert "No candidate is within the budget. The model itself has a validation accuracy of 0.9100." in text
    assert "The nearest one: small: accuracy 0.9000, 20.0 kB packed, latency 0.40x of float32" in text
    several = [candidate("small"), candidate("other"), candidate("third")]
    text = " ".join(drawn(record(chosen=None, candidates=several, nearest=["third", "small"])).split())
    assert "The nearest one: third:" in text
    assert "Then: small:" in text
    failed = record(chosen=None, candidates=[candidate("broken", None, failure="no file")])
    assert "No candidate could be made." in drawn(failed)


def test_of_many_candidates_those_that_matter_are_shown() -> None:
    many = [candidate(f"c{at}", pareto=at in (3, 66)) for at in range(75)]
    found = compression.compressed(record(candidates=many, chosen="c70", nearest=["c68"]), "en", most=60)
    assert found is not None
    assert found.sentences[0].startswith("c70: 20.0 kB")
    shown = [row.name for row in found.rows[1:]]
    assert len(shown) == 60
    assert {"c3", "c66", "c68", "c70"} <= set(shown)
    assert shown == sorted(shown, key=lambda name: int(name[1:]))
    assert found.notes[0].startswith("60 of 75 candidates are shown")
    assert found.path == ""
    assert [row.name for row in found.rows if row.state == "chosen"] == ["c70"]


def test_a_thousand_candidates_with_long_recipes_leave_the_page_small() -> None:
    steps = [{"technique": "shrink", "counts": ", ".join(f"block_{at}_expand_conv=48" for at in range(200))}]
    many = [candidate(f"c{at}", recipe={"name": f"c{at}", "steps": steps}) for at in range(1000)]
    found = compression.compressed(record(candidates=many, chosen="c7"), "en")
    assert found is not None
    drawings = [str(figure.drawing) for figure in compression.figures(found, "en")]
    assert sum(map(len, drawings)) + sum(len(row.steps) + len(row.told) for row in found.rows) < 1_000_000
    assert all(len(re.findall('aria-label="([^"]*)"', drawing)[0]) < 30_000 for drawing in drawings)
    assert found.notes[0].startswith("300 of 1000 candidates are shown")


def test_a_chosen_one_that_broke_is_none() -> None:
    broken = record(candidates=[candidate("small", failure="its file's outputs part")])
    assert "No candidate could be made." in drawn(broken)
    beside = record(candidates=[candidate("small", failure="it parts"), candidate("other")])
    assert "No candidate is within the budget." in drawn(beside)


def test_a_search_says_how_long_it_took_and_why_others_were_not_chosen() -> None:
    found = compression.compressed(record(search=SEARCH, outside=OUTSIDE), "en")
    assert found is not None
    assert "Searched: 12 candidates in 10.0 minutes, 2.1% of the time for deciding." in found.sentences
    assert found.costs == [("conv<b>", "16", "-0.0200", "25.0%", "?", "12.5%")]
    assert found.outside == [
        "broken is outside of the budget: --max_memory_mb: not known (allowed 10)",
        "large is outside of the budget: --max_size_kb: 41.5 (allowed 20) and --min_metric: 0.85 (allowed 0.9)",
        "Left out before training, by the estimate (--max_size_kb=20): 2 combinations, such as s25_float16, float16",
    ]


def test_chinese_says_the_same() -> None:
    assert "压缩包大小" in drawn(record(), "zh")


def test_two_plots_show_every_measured_candidate_with_its_recipe() -> None:
    found = compression.compressed(record(), "en")
    assert found is not None
    size, latency = compression.figures(found, "en")
    for figure in (size, latency):
        assert str(figure.drawing).count("<circle") == 2
        assert "shrink ratio=0.5" in str(figure.drawing)
    untimed = [candidate("small", latency_ratio=None)]
    base = candidate("float32", 0.91, latency_ratio=None)
    only = compression.compressed(record(baseline=base, candidates=untimed), "en")
    assert only is not None
    assert len(compression.figures(only, "en")) == 1


def test_the_groups_of_the_chosen_one_are_listed() -> None:
    found = compression.compressed(record(), "en")
    assert found is not None
    assert found.groups == [("conv", "16 channels", "8 channels")]


def test_what_became_of_single_layers_is_listed() -> None:
    pruned = {"weight": "conv/kernel", "weights": 2304, "zeros": 1152, "sparsity": 0.5}
    clustered = {"weight": "dense/kernel", "weights": 640, "zeros": 40, "values": 16, "values_per_output": None}
    steps = [{"technique": "prune", "layers": [pruned]}, {"technique": "cluster", "layers": [clustered]}, {}]
    found = compression.compressed(record(candidates=[candidate("small", steps=steps)]), "en")
    assert found is not None
    assert found.groups == [
        ("conv/kernel", "2304 weights", "1152 that are not zero"),
        ("dense/kernel", "640 weights", "16 different values"),
    ]


def test_the_ratio_has_its_spread_where_there_is_one() -> None:
    found = compression.compressed(record(candidates=[candidate("small", latency_spread=[0.38, 0.47])]), "en")
    assert found is not None
    assert [(row.cells["ratio"], row.cells["spread"]) for row in found.rows] == [("1.00x", ""), ("0.40x", "0.38–0.47")]


def test_hostile_names_are_escaped() -> None:
    found = compression.compressed(record(candidates=[candidate("<script>x</script>")]), "en")
    assert found is not None
    assert all("<script>" not in str(figure.drawing) for figure in compression.figures(found, "en"))


@pytest.mark.parametrize("damage", [{"candidates": 3}, {"baseline": []}, {"candidates": [3]}])
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        compression.compressed(record(**damage), "en")


def test_an_empty_record_is_nothing() -> None:
    assert compression.compressed({}, "en") is None


def test_every_sentence_of_the_table_is_used_and_every_used_one_is_there() -> None:
    folder = Path(tfday7.reporting.__file__).parent
    source = (folder / "compression.py").read_text() + (folder / "templates" / "compression.html.j2").read_text()
    known = set(json.loads((folder.parent / "core" / "texts" / "compressed.json").read_text()))
    asked = set(re.findall(r"""\b(?:c|words)\(\s*["']([a-z_]+)["']""", source))
    composed = {f"is_{state}" for state in ("baseline", "chosen", "frontier", "beaten", "failed")}
    composed |= {"group", "channels", "change", "macs_saved", "parameters_saved", "latency_saved"}
    composed |= {"name", "by_size", "by_latency", "size_axis", "latency_axis", "state", *compression.COLUMNS}
    assert known == (asked - {"is_"}) | composed
