"""Layers are shown as they were probed: one scale a column, nothing invented for what was not measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from reporting.page import Page
from reporting.report_folders import complete, diagnosis_record, health_record, layer_probe

from tfday7.core.errors import UserError
from tfday7.reporting import write_report
from tfday7.reporting.layers import MAX_LAYERS, MAX_PROBES, Layers, layers
from tfday7.reporting.records import RunRecords
from tfday7.reporting.words import Words


def shown(health: dict[str, Any], *named: str) -> Layers | None:
    return layers(RunRecords(Path("run"), "run", health=health), Words("en"), set(named))


def opacities(strip: str) -> list[float]:
    return [float(value) for value in re.findall(r'fill-opacity="([0-9.]+)"', strip)]


def page(tmp_path: Path, lang: str = "en", **changes: Any) -> Page:
    folder = complete(tmp_path / "run", **{"health": health_record(), **changes})
    return Page(write_report(folder, lang).read_text(encoding="utf-8"))


def test_a_column_has_one_logarithmic_scale_for_all_layers() -> None:
    small = [layer_probe("small", e, gradient=g) for e, g in ((0, 1e-4), (1, 1e-2))]
    large = [layer_probe("large", e, gradient=g) for e, g in ((0, 1.0), (1, 1e-2))]
    probes = [{"epoch": e, "loss": 1.0, "layers": [small[e], large[e]]} for e in (0, 1)]
    found = shown({"probes": probes})
    assert found is not None
    first, second = (opacities(row.cells[found.columns.index("gradient")].strip) for row in found.rows)
    assert first[0] == min(first + second)
    assert second[0] == 1.0
    assert first[1] == second[1] == pytest.approx((first[0] + second[0]) / 2, abs=0.01)  # Half of the decades.


def test_changes_are_told_in_units_of_the_weights_and_shares_in_percent() -> None:
    found = shown(health_record())
    assert found is not None
    last = {column: cell.last for column, cell in zip(found.columns, found.rows[0].cells, strict=True)}
    # Change 0.02 * 3 of weights of 0.2; 0.01 * 3 of the units dead; 0.1 / 2^3.
    assert last == {"gradient": "0.0125", "std": "1.2", "share": "3%", "ratio": "0.3"}
    assert (found.first, found.last) == (0, 3)


def test_what_was_not_measured_is_left_out() -> None:
    unknown = {"gradient": None, "weight": None, "change": None, "dead_share": None}
    probes = [{"epoch": e, "loss": None, "layers": [layer_probe("norm", e, **unknown)]} for e in (0, 1)]
    found = shown({"probes": probes})
    assert found is not None
    assert found.columns == ["std"]
    assert "dead_share" not in found.numbers
    one = [{"epoch": 0, "loss": None, "layers": [layer_probe("a", 0, gradient=None), layer_probe("b", 0)]}]
    mixed = shown({"probes": one})
    assert mixed is not None
    assert mixed.rows[0].cells[0].strip == ""
    assert mixed.rows[0].cells[0].last == ""


def test_a_gradient_of_zero_or_beyond_any_axis_is_drawn() -> None:
    values = (0.0, 1e-300, 1.0, 1e300)
    probes = [{"epoch": e, "loss": 1.0, "layers": [layer_probe("a", e, gradient=g)]} for e, g in enumerate(values)]
    found = shown({"probes": probes})
    assert found is not None
    drawn = opacities(found.rows[0].cells[0].strip)
    assert len(drawn) == 4
    assert drawn == sorted(drawn)
    assert drawn[-1] == 1.0


def test_many_layers_and_probes_are_cut_but_not_what_findings_name_nor_the_last_probe() -> None:
    found = shown(health_record(layers=200, epochs=tuple(range(100))), "conv_150")
    assert found is not None
    assert len(found.rows) == MAX_LAYERS + 1
    assert found.hidden == 200 - MAX_LAYERS - 1
    assert "conv_150" in found.anchors
    assert found.last == 99
    assert len(opacities(found.rows[0].cells[0].strip)) <= MAX_PROBES


def test_a_findings_layer_links_to_its_row(tmp_path: Path) -> None:
    record = diagnosis_record()
    record["findings"][0]["evidence"]["layer"] = "conv_2"
    parsed = page(tmp_path, diagnosis=record)
    assert ("a", "href", "#layer-2") in parsed.attributes
    assert ("tr", "id", "layer-2") in parsed.attributes
    record["findings"][0]["evidence"]["layer"] = "nowhere"
    assert "#layer-2" not in page(tmp_path, diagnosis=record).values("href")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_strip_says_the_same_in_words_and_in_the_table(tmp_path: Path, lang: str) -> None:
    parsed = page(tmp_path, lang)
    labels = [value for tag, name, value in parsed.attributes if tag == "svg" and name == "aria-label"]
    strips = [label for label in labels if "conv_" in label]
    assert len(strips) == 2 * 4
    assert "0.0125" in strips[0]
    rows = [row for row in parsed.rows["layers"] if row[0].startswith("conv_1 ")]
    assert len(rows) == 2
    assert rows[0][1] == "0.0125" or rows[0][1].endswith(" 0.0125")
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("health", [None, {}, {"probes": []}, {"probes": [{"epoch": 0, "loss": 1.0, "layers": []}]}])
def test_without_probes_there_is_no_section(tmp_path: Path, health: dict[str, Any] | None) -> None:
    assert "layers" not in page(tmp_path, health=health).values("id")


def test_a_layers_name_is_text(tmp_path: Path) -> None:
    name = '"><script>alert(1)</script>'
    probes = [{"epoch": 0, "loss": 1.0, "layers": [layer_probe(name, 0)]}]
    record = diagnosis_record()
    record["findings"][0]["evidence"]["layer"] = name
    parsed = page(tmp_path, health={"probes": probes}, diagnosis=record)
    assert "script" not in parsed.tags
    assert name in parsed.text()


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"health\.json: probes"):
        page(tmp_path, health={"probes": 3})
