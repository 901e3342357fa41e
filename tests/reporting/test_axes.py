"""Axes place values by their scale, name round ones, and hold all ranges that a search has had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting.search_folders import parameter, search_folder, search_record

from tfday7.reporting import search_axes
from tfday7.reporting.axes import CHOICE, LINEAR, LOG, Axis, numeric, objective
from tfday7.reporting.search_records import read


def axes_of(tmp_path: Path, **changes: Any) -> dict[str, Axis]:
    records = read(search_folder(tmp_path / "run", search_record(**changes)))
    return {axis.name: axis for axis in search_axes.of_search(records)}


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (Axis("", LINEAR, 2.0, 6.0), 3.0, 0.25),
        (Axis("", LOG, 1e-4, 1.0), 1e-3, 0.25),
        (Axis("", CHOICE, choices=("a", "b", "c", "d")), "b", 0.375),  # The middle of the second quarter.
        (Axis("", LINEAR, 1.0, 1.0), 1.0, 0.5),
        (Axis("", LINEAR, 0.0, 1.0, clamped=True), -7.0, 0.0),
        (Axis("", LINEAR, 0.0, 1.0), -7.0, None),
        (Axis("", LOG, 0.1, 1.0), "many", None),
        (Axis("", CHOICE, choices=("True", "False")), False, 0.75),
    ],
)
def test_places_are_arithmetic_on_the_scale(axis: Axis, value: Any, place: float | None) -> None:
    found = axis.place(value)
    assert found == place if place is None else found == pytest.approx(place)


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis("", LOG, 1e-5, 1e-1), ["1e-5", "1e-4", "0.001", "0.01", "0.1"]),
        (Axis("", LOG, 6e-4, 6e-3), ["0.001", "0.002", "0.005"]),
        (Axis("", LOG, 0.3, 0.4), ["0.3", "0.32", "0.34", "0.36", "0.38", "0.4"]),
        (Axis("", LINEAR, 0.0, 0.5), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (Axis("", LINEAR, 1.0, 3.0, whole=True), ["1", "2", "3"]),
    ],
)
def test_round_values_are_named(axis: Axis, labels: list[str]) -> None:
    assert [label for _, label in axis.ticks(5)] == labels


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 12), st.booleans())
def test_ticks_lie_on_the_axis_and_are_few(low: float, length: float, limit: int, log: bool) -> None:
    axis = numeric("", [abs(low) + 1e-6, abs(low) + 1e-6 + length] if log else [low, low + length], log)
    found = axis.ticks(limit)
    assert len(found) <= 2 * limit + 2
    assert all(-1e-9 <= place <= 1 + 1e-9 for place, _ in found)


def test_optimizers_with_ranges_of_their_own_share_an_axis_of_the_same_scale(tmp_path: Path) -> None:
    found = axes_of(tmp_path)
    assert list(found) == ["optimizer", "learning_rate", "beta_1", "batch_size"]
    rate = found["learning_rate"]
    assert rate.keys == ("adam.learning_rate", "sgd.learning_rate", "lion.learning_rate")
    assert (rate.low, rate.high) == (1e-5, 1.0)
    assert rate.seams == (1e-2,)  # Where adam's first range ended and the wider one began.
    assert found["batch_size"].choices == ("16", "32", "64")


def test_different_scales_have_axes_of_their_own(tmp_path: Path) -> None:
    space = [parameter("learning_rate", [1e-4, 1e-2], "log", "adam"),
             parameter("learning_rate", [0.01, 1.0], "choice", "sgd")]  # fmt: skip
    found = axes_of(tmp_path, space=space, widened=[])
    assert {name: axis.scale for name, axis in found.items()} == {
        "adam.learning_rate": LOG, "sgd.learning_rate": CHOICE,
    }  # fmt: skip


def test_a_trial_of_another_optimizer_has_no_place(tmp_path: Path) -> None:
    records = read(search_folder(tmp_path / "run"))
    beta = next(axis for axis in search_axes.of_search(records) if axis.name == "beta_1")
    placed = {trial.number for trial in records.trials if beta.of(trial) is not None}
    assert placed == {trial.number for trial in records.trials if trial.values["optimizer"] == "adam"}


def test_a_loss_over_decades_is_logarithmic_and_outliers_are_shown_at_the_end() -> None:
    assert objective("", [0.01, 0.1, 100.0], maximized=False).scale == LOG
    axis = objective("", [0.95, 0.96, 0.97, -40.0], maximized=True)
    assert axis.scale == LINEAR
    assert axis.low > 0.8  # The median is 0.955: 0.97 - 10 * 0.015 = 0.82, less a little room.
    assert axis.place(-40.0) == 0.0
