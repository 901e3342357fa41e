"""Curves keep what matters when they are thinned, and plots take any history there is."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting.report_folders import metrics

from tfday7.reporting.charts import charts, constant_rate
from tfday7.reporting.history import Curve, History, history, is_wide, milestones
from tfday7.reporting.records import RunRecords
from tfday7.reporting.svg import draw, tick
from tfday7.reporting.words import Words


def curves(lines: list[dict[str, Any]], **run: Any) -> History:
    return history(RunRecords(Path("run"), "run", run=run, metrics=lines))


def curve(values: list[float]) -> Curve:
    return Curve("loss", np.arange(1.0, len(values) + 1), np.array(values))


def test_the_best_epoch_is_that_of_the_run_or_the_lowest_validation_loss() -> None:
    assert curves(metrics(), training={"best_epoch": 7}).best_epoch == 7
    lines = [{"epoch": i + 1, "loss": 1.0, "val_loss": value} for i, value in enumerate([3.0, None, 1.0, 2.0])]
    assert curves(lines).best_epoch == 3
    assert curves([{"epoch": 1, "loss": None}]).best_epoch is None


def test_thinning_keeps_ends_extremes_gaps_and_the_best_epoch() -> None:
    values = np.full(50_000, 1.0)
    values[[12_345, 23_456, 34_567]] = 0.1, 9.0, np.nan
    thin = Curve("loss", np.arange(50_000.0), values).thinned(keep=777)
    assert len(thin.values) <= 1004
    assert {0, 777, 12_345, 23_456, 34_567, 49_999} <= set(thin.epochs.astype(int))
    assert (np.diff(thin.epochs) > 0).all()
    assert np.isnan(thin.values).sum() == 1


def test_a_thousand_points_are_not_thinned() -> None:
    whole = curve([1.0] * 1000)
    assert whole.thinned() is whole


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 0.011], False), ([1.0, 0.0099], True), ([1000.0, 0.0], False), ([math.nan, 5.0], False)],
)
def test_a_loss_over_two_decades_has_a_log_axis(values: list[float], expected: bool) -> None:
    assert is_wide([curve(values)]) is expected


def test_milestones_are_few_and_hold_first_best_and_last() -> None:
    chosen = milestones(curves(metrics(1000), training={"best_epoch": 333}))
    assert {0, 332, 999} <= set(chosen)
    assert len(chosen) <= 13


def test_a_constant_learning_rate_needs_no_plot() -> None:
    lines = [{**line, "learning_rate": 0.001} for line in metrics()]
    assert constant_rate(curves(lines)) == 0.001
    assert [chart.id for chart in charts(curves(lines), Words("en"))] == ["chart-loss", "chart-accuracy"]


def test_an_r2_far_below_zero_is_cut_off_and_says_so() -> None:
    lines = [{"epoch": i + 1, "loss": 1.0, "r2_score": value} for i, value in enumerate([-40.0, 0.5, 0.9])]
    chart = next(chart for chart in charts(curves(lines), Words("en")) if chart.id == "chart-r2-score")
    assert chart.floor == -1.0
    assert chart.title == "R² by epoch, cut off below -1"


@pytest.mark.parametrize("values", [[-3.43, -4.58], [-60.0, -5.0, -1.0]])
def test_an_r2_that_is_below_the_floor_throughout_is_drawn_whole(values: list[float]) -> None:
    """Cut off, nothing would be left, and the axis would stand on its head."""
    lines = [{"epoch": i + 1, "loss": 1.0, "r2_score": value} for i, value in enumerate(values)]
    chart = next(chart for chart in charts(curves(lines), Words("en")) if chart.id == "chart-r2-score")
    assert (chart.floor, chart.title) == (None, "R² by epoch")


def test_of_several_targets_the_mean_is_drawn_and_cut_off_like_an_r2() -> None:
    lines = [
        {"epoch": i + 1, "loss": 1.0, "city_accuracy": 0.5, "mean_score": value} for i, value in enumerate((-9, 0.5))
    ]
    drawn = charts(curves(lines), Words("en"))
    assert [(chart.id, chart.floor) for chart in drawn] == [("chart-loss", None), ("chart-mean-score", -1.0)]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.0, "0"),
        (0.05, "0.05"),
        (0.00075, "7.5e-4"),
        (1000.0, "1,000"),
        (1e5, "1e5"),
        (-0.5, "-0.5"),
        (1e-10, "1e-10"),
    ],
)
def test_axis_labels_are_short(value: float, label: str) -> None:
    assert tick(value) == label


VALUES = st.none() | st.floats(-1e12, 1e12) | st.sampled_from([0.0, 1e-300, 1e300, math.nan, math.inf, "text", True])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"loss": VALUES, "val_loss": VALUES, "accuracy": VALUES}), max_size=30))
def test_any_history_can_be_drawn(lines: list[dict[str, Any]]) -> None:
    for chart in charts(curves([{"epoch": i + 1, **line} for i, line in enumerate(lines)]), Words("en")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            root = ElementTree.fromstring(draw(chart))  # noqa: S314 - our own output
        assert root.attrib["aria-label"] == chart.description
        assert "nan" not in "".join(path.attrib.get("d", "") for path in root.iter()).lower()
        assert not any("style" in element.attrib for element in root.iter())


def test_colours_come_from_the_page() -> None:
    for chart in charts(curves(metrics()), Words("en")):
        drawn = draw(chart)
        assert "#ab000" not in drawn
        assert "var(--" in drawn
        assert "<metadata" not in drawn
        assert "DejaVu" not in drawn
