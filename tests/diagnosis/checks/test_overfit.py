"""Overfitting: a validation loss that turns, or a gap between the scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tfday7.diagnosis.checks.overfit import gap, rising
from tfday7.diagnosis.evidence import Evidence

EPOCHS = np.arange(41)
LOSS = np.linspace(2.0, 0.1, 41)
PARABOLA = 1.0 + (EPOCHS - 20.0) ** 2 / 1000  # Lowest in epoch 21, and 1.4 in the last one.


def test_the_evidence_is_the_curves_arithmetic() -> None:
    match = rising(Evidence(LOSS, PARABOLA))
    lowest, last = 1.001, 1.4  # The median of three turns 1.004, 1.001, 1, 1.001 into 1.001; a parabola has no noise.
    assert match is not None
    assert match.finding.evidence == pytest.approx(
        {"best_epoch": 20, "epochs": 41, "lowest": lowest, "last": last, "rise_percent": 100 * (last / lowest - 1)}
    )
    fall = (LOSS[19] - LOSS[40]) / LOSS[19]
    assert match.margin == pytest.approx(math.sqrt((last / lowest - 1) * fall) / 0.077 - 1, rel=1e-3)


def _rise_to(end: float) -> np.ndarray:
    return np.concatenate([np.linspace(2.0, 1.0, 20), np.linspace(1.0, end, 18), [end] * 3])


@pytest.mark.parametrize(("end", "found"), [(1.037, False), (1.043, True)])
def test_a_rise_counts_from_4_percent(end: float, found: bool) -> None:
    assert (rising(Evidence(LOSS, _rise_to(end))) is not None) == found


@pytest.mark.parametrize(("fall", "found"), [(0.05, False), (0.07, True)])
def test_a_rise_counts_in_proportion_to_what_training_gained_meanwhile(fall: float, found: bool) -> None:
    # Together with a rise of 10% the bound is a fall of 0.077 ** 2 / 0.1 = 5.9%.
    loss = np.concatenate([np.linspace(1.5, 0.5, 20), np.linspace(0.5, 0.5 * (1 - fall), 21)])
    assert (rising(Evidence(loss, _rise_to(1.10))) is not None) == found


def test_a_loss_below_zero_rises_in_proportion_to_its_size() -> None:
    assert rising(Evidence(LOSS - 3.0, PARABOLA - 2.0)) is not None
    assert rising(Evidence(LOSS - 3.0, LOSS - 2.0)) is None


@pytest.mark.parametrize(
    ("loss", "val_loss"),
    [
        (LOSS, LOSS),
        (LOSS[::-1], PARABOLA),  # The training loss rises too: that is instability.
        (LOSS[:4], PARABOLA[:4]),
        (LOSS, np.where(EPOCHS == 30, np.nan, PARABOLA)),
        (LOSS, np.where(EPOCHS == 30, 2.0, LOSS)),
        (LOSS / 1e4, np.full(41, 1e-6) + (EPOCHS > 30) * 1e-5),  # Tenfold, but next to zero.
    ],
    ids=["falling", "both rise", "short", "nan", "one bad epoch", "near zero"],
)
def test_other_curves_do_not_alarm(loss: np.ndarray, val_loss: np.ndarray) -> None:
    assert rising(Evidence(loss, val_loss)) is None


def _scores(train: float, validation: float, examples: int = 10_000, **values: Any) -> Evidence:
    scores = {"train_score": train, "validation_score": validation, "validation_examples": examples}
    return Evidence(LOSS, LOSS, **{**scores, **values})


def test_a_gap_counts_from_ten_points_on() -> None:
    assert gap(_scores(0.999, 0.90)) is None
    match = gap(_scores(0.99, 0.84))
    assert match is not None
    assert match.finding.evidence["gap_points"] == pytest.approx(15.0)
    assert match.margin == pytest.approx((0.15 - 0.10) / 0.10)


def test_a_gap_counts_only_where_the_training_examples_were_memorized() -> None:
    assert gap(_scores(0.90, 0.72)) is None  # 10 mistakes in training for every 28 in validation: more than a third.
    assert gap(_scores(0.92, 0.72)) is not None


def test_a_validation_split_of_unknown_size_counts_as_a_hundred_examples() -> None:
    bound = 3 * math.sqrt(0.8 * 0.2 / 100)  # 12 points; a third of 20 is not reached before 13.4.
    assert bound < 0.2 * 2 / 3
    assert gap(_scores(0.9335, 0.8, 0)) is not None
    assert gap(_scores(0.9335, 0.8, 70)) is None


def test_a_gap_must_exceed_three_standard_errors_of_a_small_split() -> None:
    bound = 3 * math.sqrt(0.8 * 0.2 / 60)  # 15.5 points.
    assert gap(_scores(0.8 + bound - 0.001, 0.8, 60)) is None
    assert gap(_scores(0.8 + bound + 0.001, 0.8, 60)) is not None


@pytest.mark.parametrize(
    "evidence",
    [
        _scores(0.5, 0.9),
        _scores(1.0, 0.5, stopped="nan"),
        _scores(1.0, 0.5, train_score=None),
        _scores(1.0, 0.5, validation_score=None),
    ],
)
def test_no_gap_where_none_can_be_told(evidence: Evidence) -> None:
    assert gap(evidence) is None


def test_remedies_leave_out_what_the_run_already_does() -> None:
    names = [advice.id.rsplit(".", 1)[1] for advice in gap(_scores(1.0, 0.5)).finding.remedies]
    assert names == ["stop", "augment", "dropout", "l2", "smaller"]
    stopped = gap(_scores(1.0, 0.5, flags={"patience": "5"}))
    assert "stop" not in [advice.id.rsplit(".", 1)[1] for advice in stopped.finding.remedies]
