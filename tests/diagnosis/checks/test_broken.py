"""Runs that cannot be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.diagnosis.checks.broken import diverged, not_learning
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import skill_of

FALLING = np.linspace(2.0, 1.0, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_is_found_with_its_epoch_and_rate(value: float) -> None:
    loss = FALLING.copy()
    loss[6:] = value
    match = diverged(Evidence(loss, FALLING, flags={"learning_rate": "2.0"}))
    assert match is not None
    assert match.finding.evidence == {"epoch": 7, "learning_rate": "2.0"}
    assert match.finding.remedies[0].flag == "--learning_rate=0.2"


def test_a_run_that_stopped_on_nan_diverged_even_if_its_records_are_finite() -> None:
    match = diverged(Evidence(FALLING, FALLING, stopped="nan"))
    assert match is not None
    assert match.finding.evidence == {"epoch": 10, "learning_rate": "default"}


def test_finite_losses_did_not_diverge() -> None:
    assert diverged(Evidence(FALLING, np.full(10, np.nan))) is None


@pytest.mark.parametrize(("score", "baseline", "skill"), [(0.1, 0.1, 0.0), (1.0, 0.1, 1.0), (0.55, 0.1, 0.5)])
def test_skill_is_the_share_of_the_way_to_perfect(score: float, baseline: float, skill: float) -> None:
    assert skill_of(score, baseline) == pytest.approx(skill)


@pytest.mark.parametrize(("train", "found"), [(0.05, True), (0.1, True), (0.117, True), (0.119, False), (0.9, False)])
def test_a_fiftieth_of_the_way_counts_as_learning(train: float, found: bool) -> None:
    evidence = Evidence(FALLING, FALLING, train_score=train, baseline=0.1)  # 0.1 + 0.02 * 0.9 = 0.118.
    assert (not_learning(evidence) is not None) == found


def test_nothing_is_said_without_scores_or_after_divergence() -> None:
    assert not_learning(Evidence(FALLING, FALLING, baseline=0.1)) is None
    assert not_learning(Evidence(FALLING, FALLING, train_score=0.1)) is None
    assert not_learning(Evidence(FALLING, FALLING, train_score=0.1, baseline=0.1, stopped="nan")) is None
