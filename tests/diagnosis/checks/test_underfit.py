"""Underfitting: poor even on the training examples."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.diagnosis.checks.underfit import underfit, unfinished
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import still_improving

FLAT, FALLING = np.full(20, 1.0), np.linspace(2.0, 1.0, 20)


def _run(train: float, baseline: float = 0.2, loss: np.ndarray = FLAT, **flags: str) -> Evidence:
    return Evidence(loss, loss, train_score=train, validation_score=train, baseline=baseline, flags=flags)


@pytest.mark.parametrize(
    ("train", "found"), [(0.215, False), (0.22, True), (0.4, True), (0.59, True), (0.61, False), (1.0, False)]
)
def test_less_than_half_of_the_way_from_guessing_to_perfect(train: float, found: bool) -> None:
    assert (underfit(_run(train)) is not None) == found  # From 0.2 to 1: half is 0.6, a fiftieth is 0.216.


def test_the_evidence_is_the_share_of_the_way() -> None:
    match = underfit(_run(0.4))
    assert match is not None
    assert match.finding.evidence["skill_percent"] == pytest.approx(100 * (0.4 - 0.2) / (1 - 0.2))
    assert match.margin == pytest.approx((0.5 - 0.25) / 0.5)


def test_a_run_that_still_improves_should_first_train_longer() -> None:
    found = unfinished(_run(0.4, loss=FALLING)).finding
    assert underfit(_run(0.4, loss=FALLING)) is None
    assert (found.causes[0].id, found.remedies[0].flag) == ("diagnosis.unfinished.cause.short", "--epochs=60")


def test_a_run_that_has_settled_needs_a_wider_model() -> None:
    found = underfit(_run(0.4, model="mlp")).finding
    assert unfinished(_run(0.4, model="mlp")) is None
    assert (found.causes[0].id, found.remedies[0].flag) == ("diagnosis.underfit.cause.capacity", "--width=256")


def test_nothing_is_said_without_scores_or_after_divergence() -> None:
    assert underfit(Evidence(FLAT, FLAT)) is None
    assert underfit(Evidence(FLAT, FLAT, train_score=0.4, baseline=0.2, stopped="nan")) is None


@pytest.mark.parametrize(("last", "improving"), [(0.87, True), (0.9998, False)])
def test_a_tenth_of_all_that_the_loss_fell_is_enough(last: float, improving: bool) -> None:
    """From 1.0 to 0.87 in a straight line: two of nine steps are 0.029, more than a tenth of 0.13."""
    loss = np.linspace(1.0, last, 10) if improving else np.r_[np.linspace(1.0, last, 5), np.full(5, last)]
    assert still_improving(Evidence(loss, loss)) is improving
