"""A run's learning-rate range test is drawn when there was one, with the rates that it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reporting.page import Page
from reporting.report_folders import complete, run_record
from reporting.search_folders import range_test_record

from tfday7.core.errors import UserError
from tfday7.reporting import write_report


def page(tmp_path: Path, lang: str = "en", **changes: Any) -> Page:
    run = {**run_record(), "range_test": range_test_record(**changes)}
    return Page(write_report(complete(tmp_path / "run", run=run), lang).read_text(encoding="utf-8"))


def test_it_is_there_only_when_it_was_made(tmp_path: Path) -> None:
    assert "range-test" in page(tmp_path).values("id")
    without = Page(write_report(complete(tmp_path / "other")).read_text(encoding="utf-8"))
    assert "range-test" not in without.values("id")


@pytest.mark.parametrize(
    ("lang", "sentence"),
    [("en", "falls fastest at 0.001, is lowest at 0.03 and diverges at 0.8. The run trains with 0.00098."),
     ("zh", "在 0.001 处下降最快，在 0.03 处最低，在 0.8 处发散。本次训练采用 0.00098。")],
)  # fmt: skip
def test_the_rates_are_those_of_the_record(tmp_path: Path, lang: str, sentence: str) -> None:
    parsed = page(tmp_path, lang)
    assert sentence in parsed.text()
    drawn = next(value for tag, name, value in parsed.attributes if tag == "svg" and name == "aria-label"
                 and sentence in value)  # fmt: skip
    assert drawn
    looks = [value for tag, name, value in parsed.attributes if name == "class"]
    assert {"rule chosen", "rule diverges", "dot steepest", "dot lowest"} <= set(looks)


def test_a_loss_that_never_diverges_is_said_to_stay(tmp_path: Path) -> None:
    parsed = page(tmp_path, diverges_at=None)
    assert "it diverges at none of the rates tried" in parsed.text()
    assert "rule diverges" not in parsed.values("class")


@pytest.mark.parametrize(
    "damage",
    [{"rates": [0.1]}, {"losses": None}, {"rates": [], "losses": []}, {"steepest": None}, {"learning_rate": "fast"},
     {"rates": [-1.0] * 90}, {"losses": [None] * 90}],
)  # fmt: skip
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, damage: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"run\.json: range_test"):
        page(tmp_path, **damage)
