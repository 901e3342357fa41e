"""Parity by arithmetic on small arrays."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from support import ROOT

from tfday7.data import Problem
from tfday7.exporting.parity import LIMITS, compare, shown

CLASSES = Problem("classification", "tabular", (4,), 3, ("a", "b", "c"))
LABELS = Problem("multilabel", "tabular", (4,), 3, ("a", "b", "c"))
VALUES = Problem("regression", "tabular", (4,), 1)
EXPECTED = np.array([[4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.9, 0.0]], np.float32)
Y = np.array([0, 1, 2, 0])


def test_the_limits_are_those_that_the_page_promises() -> None:
    page = (ROOT / "docs" / "exporting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w, ]+) \| ([\d.]+)% \| ([\d.]+) \| ([\d.]+)% \|$", page, re.MULTILINE)
    promised = {
        kind: {"relative_difference": float(a) / 100, "metric_drop": float(b), "agreement": float(c) / 100}
        for kinds, a, b, c in rows
        for kind in kinds.split(", ")
    }
    assert set(promised) == set(LIMITS)
    for kind, limits in promised.items():
        assert LIMITS[kind] == pytest.approx(limits)


def test_equal_outputs_hold_with_no_difference() -> None:
    parity = compare("float32", CLASSES, EXPECTED, EXPECTED, Y)
    assert parity.holds
    assert (parity.largest_difference, parity.mean_difference, parity.relative_difference) == (0.0, 0.0, 0.0)
    assert (parity.keras_metric, parity.artefact_metric, parity.agreement) == (1.0, 1.0, 1.0)


def test_differences_are_measured_against_the_largest_output() -> None:
    outputs = EXPECTED.copy()
    outputs[2, 1] += 0.2
    parity = compare("int8", CLASSES, EXPECTED, outputs, Y)
    assert parity.largest_difference == pytest.approx(0.2)
    assert parity.relative_difference == pytest.approx(0.2 / 4.0)
    assert parity.mean_difference == pytest.approx(0.2 / 12)
    assert [entry["example"] for entry in parity.worst_examples] == [2, 0, 1, 3]
    assert parity.worst_examples[0]["difference"] == pytest.approx(0.2)
    assert parity.holds


def test_a_float_file_that_differs_by_a_thousandth_is_broken() -> None:
    parity = compare("float32", CLASSES, EXPECTED, EXPECTED + np.float32(0.004), Y)
    assert not parity.holds
    assert "largest difference is 0.1% of the largest output; allowed 0.01%" in parity.failures[0]


def test_the_metric_may_drop_by_one_example_on_a_small_split_and_not_by_two() -> None:
    one, two = EXPECTED.copy(), EXPECTED.copy()
    one[3, 1] = 1.05
    two[3, 1], two[2, 0] = 1.05, 1.05
    assert compare("int8", CLASSES, EXPECTED, one, Y).agreement == 0.75
    assert compare("int8", CLASSES, EXPECTED, one, Y).holds
    failures = compare("int8", CLASSES, EXPECTED, two, Y).failures
    assert any("accuracy drops by 0.5000; allowed 0.2500" in failure for failure in failures)


def test_half_a_point_is_allowed_on_a_large_split() -> None:
    y = np.zeros(1000, np.int64)
    expected = np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (1000, 1))
    for wrong, holds in ((5, True), (6, False)):
        outputs = expected.copy()
        outputs[:wrong, 1] = 1.01  # Far beyond the limit on outputs, so only the metric is looked at here.
        drops = [text for text in compare("int8", CLASSES, expected, outputs, y).failures if "drops" in text]
        assert (not drops) is holds


def test_nan_is_broken_whatever_else_agrees() -> None:
    outputs = EXPECTED.copy()
    outputs[0, 0] = np.nan
    assert compare("int8", CLASSES, EXPECTED, outputs, Y).failures == ["outputs hold NaN or infinity"]


def test_without_labels_there_is_no_metric_and_the_outputs_decide() -> None:
    parity = compare("float32", CLASSES, EXPECTED, EXPECTED + np.float32(0.004), None)
    assert (parity.metric, parity.keras_metric, parity.artefact_metric) == (None, None, None)
    assert not parity.holds
    assert compare("float32", CLASSES, EXPECTED, EXPECTED, None).holds


def test_a_record_of_outputs_that_are_not_finite_holds_no_nan() -> None:
    outputs = EXPECTED.copy()
    outputs[0, 0] = np.inf
    parity = compare("int8", CLASSES, EXPECTED, outputs, Y)
    json.dumps(dataclasses.asdict(parity), allow_nan=False)
    assert parity.largest_difference is None


def test_regression_has_no_agreement_and_r2_for_a_metric() -> None:
    y = np.array([[1.0], [2.0], [3.0]], np.float32)
    parity = compare("int8", VALUES, y, y + np.float32(0.1), y)
    assert parity.agreement is None
    assert parity.metric == "r2_score"
    assert parity.artefact_metric == pytest.approx(1 - 3 * 0.1**2 / 2, abs=1e-5)
    assert parity.limits["metric_drop"] == LIMITS["int8"]["metric_drop"]  # No example more: R2 has no finest step.


HEADS = (
    Problem("regression", "array", (), 1, name="price", target_mean=np.zeros(1), target_std=np.array([100.0])),
    Problem("classification", "array", (), 2, ("a", "b"), name="city"),
)
MIXED = Problem("several", "tabular", (4,), 3, heads=HEADS)


def test_each_of_several_targets_is_measured_on_its_own_scale() -> None:
    expected = np.array([[500.0, 4.0, 0.0], [300.0, 0.0, 2.0], [100.0, 1.0, 0.5]], np.float32)
    y = np.array([[500.0, 1, 0], [300.0, 0, 1], [100.0, 1, 0]], np.float32)
    off = expected.copy()
    off[0, 0], off[1, 2] = 505.0, 1.6  # A twentieth of the price's deviation, a tenth of the largest logit.
    parity = compare("int8", MIXED, expected, off, y)
    assert parity.relative_difference == pytest.approx(0.1)
    assert (parity.holds, parity.metric, parity.agreement) == (True, "mean_score", 1.0)
    swapped = compare("int8", MIXED, expected, expected[:, [0, 2, 1]], y)
    assert not swapped.holds
    assert swapped.agreement == 0.0


SETS = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.float32)
LOGITS = np.where(SETS, 2.0, -2.0).astype(np.float32)


def test_several_labels_agree_where_every_one_does_and_f1_is_the_metric() -> None:
    outputs = LOGITS.copy()
    outputs[1, 1], outputs[3, 2] = -0.1, 1.9
    parity = compare("int8", LABELS, LOGITS, outputs, SETS, "logits")
    assert (parity.metric, parity.keras_metric) == ("f1_score", 1.0)
    assert parity.artefact_metric == pytest.approx(2 * 5 / (5 + 6))  # Five labels are said, all of six rightly.
    assert parity.agreement == 0.75
    assert parity.relative_difference == pytest.approx(2.1 / 2.0)


def test_f1_may_drop_by_one_label_and_not_by_two() -> None:
    one, two = LOGITS.copy(), LOGITS.copy()
    one[1, 1] = -0.1
    two[1, 1], two[3, 2] = -0.1, -0.1
    for outputs, drops in ((one, False), (two, True)):
        failures = compare("int8", LABELS, LOGITS, outputs, SETS, "logits").failures
        assert any("f1_score drops" in failure for failure in failures) is drops


def test_a_sigmoid_that_a_file_has_lost_is_broken() -> None:
    probabilities = 1 / (1 + np.exp(-LOGITS))
    assert compare("float32", LABELS, probabilities, probabilities, SETS, "probabilities").holds
    failures = compare("float32", LABELS, probabilities, LOGITS, SETS, "probabilities").failures
    assert any("largest difference" in failure for failure in failures)
    swapped = compare("int8", LABELS, LOGITS, np.roll(LOGITS, 1, axis=1), SETS, "logits")  # Labels in another order.
    assert any("f1_score drops" in failure for failure in swapped.failures)


def test_every_kind_has_all_limits() -> None:
    assert all(set(limits) == {"relative_difference", "metric_drop", "agreement"} for limits in LIMITS.values())


def test_decisions_that_change_evenly_break_parity_although_accuracy_stays() -> None:
    """Ten of 100 examples change from right to wrong, and ten from wrong to right."""
    expected = np.tile(np.array([[1.0, 0.9, 0.0]], np.float32), (100, 1))
    y = np.arange(100) % 2
    outputs = expected.copy()
    outputs[:20, 1] = 1.1
    parity = compare("int8", CLASSES, expected, outputs, y)
    assert parity.keras_metric == parity.artefact_metric
    assert parity.failures == [
        "largest difference is 20% of the largest output; allowed 15% (worst: test example 0)",
        "only 80.00% of the decisions are the same; required 95.00%",
    ]


def test_a_column_of_large_values_leaves_no_room_for_the_others() -> None:
    """float32 is no finer than 0.06 at a price of 1,000,000; that says nothing of the logits beside it."""
    heads = (
        Problem("regression", "array", (), 1, name="price", target_mean=np.zeros(1), target_std=np.array([3e5])),
        Problem("classification", "array", (), 2, ("a", "b"), name="city"),
    )
    mixed = Problem("several", "tabular", (4,), 3, heads=heads)
    expected = np.array([[1e6, 1.0, 0.0], [2e6, 0.0, 1.0]], np.float32)
    y = np.array([[1e6, 1.0, 0.0], [2e6, 0.0, 1.0]], np.float32)
    near, far = expected.copy(), expected.copy()
    near[0, 0] += 0.06
    far[0, 1] -= 0.3
    assert compare("float32", mixed, expected, near, y).holds
    parity = compare("float32", mixed, expected, far, y)
    assert not parity.holds
    assert parity.relative_difference == pytest.approx(0.3)
    assert parity.limits["relative_difference"] == pytest.approx(1e-4)


SALES = Problem("regression", "tabular", (4,), 1, target_mean=np.array([10.0]), target_std=np.array([2.0]))


@pytest.mark.parametrize(("last", "largest"), [(16.0, 3.0), (11.0, 1.0), (70.0, 4.0)])  # In deviations; 1 to 4.
def test_a_regression_is_measured_by_its_largest_output_in_deviations(last: float, largest: float) -> None:
    expected, y = np.array([[10.0], [last]], np.float32), np.array([[11.0], [13.0]], np.float32)
    off = 0.2 * 2.0 * largest
    parity = compare("int8", SALES, expected, expected + np.float32([[0.1], [off]]), y)
    assert parity.relative_difference == pytest.approx(0.2, rel=1e-5)
    assert parity.failures[0].startswith("largest difference is 20% of the largest output in deviations; allowed 15%")
    assert parity.relative_to == "largest_in_deviations"
    assert compare("int8", SALES, expected, expected + np.float32([[0.1], [0.7 * off]]), y).relative_difference < 0.15


def test_a_reconstruction_is_measured_by_the_largest_output_in_deviations() -> None:
    problem = Problem(
        "reconstruction", "tabular", (2,), 2, target_mean=np.array([0.0, 100.0]), target_std=np.array([1.0, 10.0])
    )
    expected = np.array([[2.0, 130.0], [-1.0, 80.0]], np.float32)  # 2, 3, -1 and -2 deviations.
    for off, relative in (([[0.6, 0.0], [0.0, 0.0]], 0.6 / 3.0), ([[0.0, 0.0], [0.0, 3.0]], 3.0 / 30.0)):
        parity = compare("int8", problem, expected, expected + np.float32(off), expected)
        assert parity.relative_difference == pytest.approx(relative, rel=1e-5)
        assert parity.agreement is None
    failures = compare("float32", problem, expected, expected + np.float32(0.1), expected).failures
    assert "of the largest output in deviations; allowed 0.01%" in failures[0]


@pytest.mark.parametrize(
    ("share", "said"), [(0.162, "16.2%"), (0.1504, "15.04%"), (0.00013123, "0.01312%"), (1.5, "150%"), (90.7, "9070%")]
)
def test_differences_have_as_many_digits_as_tell_them_from_their_limits(share: float, said: str) -> None:
    assert shown(share) == said


def test_outputs_that_are_all_zero_are_measured_as_they_are() -> None:
    zeros = np.zeros((3, 3), np.float32)
    assert compare("int8", CLASSES, zeros, zeros + np.float32(0.1), None).relative_difference == pytest.approx(0.1)


def test_what_is_as_large_as_its_limit_holds() -> None:
    outputs = EXPECTED.copy()
    outputs[0, 1] = 2.0  # Half of the largest output, as weight_int4 may.
    parity = compare("weight_int4", CLASSES, EXPECTED, outputs, Y)
    assert (parity.relative_difference, parity.holds) == (0.5, True)
    outputs[0, 1] = np.nextafter(np.float32(2.0), np.float32(3.0))
    assert "largest difference" in compare("weight_int4", CLASSES, EXPECTED, outputs, Y).failures[0]


@pytest.mark.parametrize("std", [1.0, 2.0])
@pytest.mark.parametrize(("spacings", "holds"), [(4, True), (5, False)])
def test_large_outputs_may_differ_by_what_float32_can_tell_there(spacings: int, holds: bool, std: float) -> None:
    """Between 4096 and 8192 numbers are 2^-11 apart; allowed are 4 eps of 5000, which is 4.9 of these steps."""
    problem = dataclasses.replace(SALES, target_mean=np.array([5000.0]), target_std=np.array([std]))
    expected = np.array([[5000.0], [4999.5]], np.float32)
    outputs = expected + np.float32([[spacings * 2.0**-11], [0.0]])
    parity = compare("float32", problem, expected, outputs, expected)
    assert parity.relative_difference == spacings * 2.0**-11 / std
    assert parity.limits["relative_difference"] == pytest.approx(4 * 2.0**-23 * 5000 / std)
    assert parity.holds is holds


def test_the_five_worst_examples_are_told_and_of_equal_ones_the_first() -> None:
    expected = np.zeros((8, 3), np.float32)
    outputs = expected.copy()
    outputs[:, 1] = [0.1, 0.3, 0.2, 0.3, 0.0, 0.1, 0.2, np.nan]
    told = compare("int8", CLASSES, expected, outputs, None).worst_examples
    assert [entry["example"] for entry in told] == [1, 3, 2, 6]  # What is not a number is first, and not told.
    whole = compare("int8", CLASSES, expected[:7], outputs[:7], None).worst_examples
    assert [entry["example"] for entry in whole] == [1, 3, 2, 6, 0]


@pytest.mark.parametrize(("changed", "same"), [(10, True), (11, False)])
def test_one_decision_in_a_thousand_may_change_in_a_float_file(changed: int, same: bool) -> None:
    expected = np.tile(np.array([[1.0, 0.9, 0.0]], np.float32), (10_000, 1))
    outputs = expected.copy()
    outputs[:changed, 1] = 1.1
    parity = compare("float32", CLASSES, expected, outputs, np.arange(10_000) % 2)
    assert parity.agreement == 1.0 - changed / 10_000
    assert any("decisions are the same; required 99.90%" in text for text in parity.failures) is not same


def test_where_nothing_is_labelled_f1_may_drop_altogether() -> None:
    nothing = np.zeros((4, 3), np.float32)
    assert compare("int8", LABELS, LOGITS, LOGITS, nothing, "logits").limits["metric_drop"] == 1.0
