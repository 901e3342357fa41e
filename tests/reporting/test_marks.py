"""Learning curves say where their minimum lies, where to stop, where training ended, and how far they end apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reporting.report_folders import diagnosis_record

from tfday7.reporting.charts import Chart, charts
from tfday7.reporting.history import history
from tfday7.reporting.records import RunRecords
from tfday7.reporting.svg import draw
from tfday7.reporting.words import Words

LOSS, VALIDATION = [1.0, 0.5, 0.25, 0.125], [1.5, 0.75, 1.0, 1.125]  # The minimum is epoch 2; they end 1.0 apart.


def loss_chart(training: dict[str, Any], diagnosis: dict[str, Any] | None = None, lang: str = "en") -> Chart:
    lines = [
        {"epoch": i + 1, "loss": train, "val_loss": validation}
        for i, (train, validation) in enumerate(zip(LOSS, VALIDATION, strict=True))
    ]
    records = RunRecords(Path("run"), "run", {"training": training}, lines, diagnosis or {})
    return charts(history(records), Words(lang))[0]


def overfit(best_epoch: int) -> dict[str, Any]:
    record = diagnosis_record()
    record["findings"][0]["evidence"]["best_epoch"] = best_epoch
    return record


def test_one_dot_marks_best_epoch_and_minimum_where_they_are_the_same() -> None:
    chart = loss_chart({"best_epoch": 2})
    assert ("best", "best epoch 2, lowest validation loss") in chart.legend
    assert [mark.look for mark in chart.marks] == []


def test_a_minimum_elsewhere_has_a_mark_of_its_own() -> None:
    chart = loss_chart({"best_epoch": 4})
    assert ("best", "best epoch 4") in chart.legend
    assert ("minimum", "lowest validation loss: epoch 2") in chart.legend
    assert "Lowest validation loss: epoch 2." in chart.description


def test_the_gap_is_that_of_the_last_epoch_and_shaded_from_the_best_one_on() -> None:
    chart = loss_chart({"best_epoch": 2})
    assert chart.gap is not None
    assert chart.gap.epochs.tolist() == [2, 3, 4]
    assert (chart.gap.high - chart.gap.low).tolist() == [0.25, 0.75, 1.0]
    assert chart.description.endswith("Gap at the end: 1.0000.")


@pytest.mark.parametrize(("stop", "marked"), [(2, True), (4, False)])  # After the last epoch there is nothing to stop.
def test_where_to_stop_is_the_diagnosis_own_epoch(stop: int, marked: bool) -> None:
    chart = loss_chart({"best_epoch": 2}, overfit(stop))
    assert (("stop", f"best stopped after epoch {stop}") in chart.legend) is marked


@pytest.mark.parametrize(("stopped", "marked"), [("early", True), ("nan", True), ("finished", False)])
def test_an_early_end_is_marked(stopped: str, marked: bool) -> None:
    chart = loss_chart({"best_epoch": 2, "stopped": stopped})
    assert (("ended", "training stopped early, after epoch 4") in chart.legend) is marked


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_mark_is_drawn_named_in_the_legend_and_told(lang: str) -> None:
    bare = draw(loss_chart({"best_epoch": 4}, lang=lang))
    chart = loss_chart({"best_epoch": 4, "stopped": "early"}, overfit(3), lang)
    assert [mark.look for mark in chart.marks] == ["minimum", "stop", "ended"]
    told = chart.description.casefold()
    assert all(mark.name.casefold() in told for mark in chart.marks)
    assert {(mark.look, mark.name) for mark in chart.marks} <= set(chart.legend)
    assert bare.count("var(--ink)") == 0
    assert draw(chart).count("var(--ink)") == 2  # The two upright lines.


def test_a_curve_alone_has_no_gap() -> None:
    records = RunRecords(Path("run"), "run", {}, [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}])
    assert charts(history(records), Words("en"))[0].gap is None
