"""Stopping by the curve itself."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.diagnosis.history.stopping import LONG_WAIT, MIN_WAIT, should_stop

FALLING = 1.0 + np.exp(-np.arange(200) / 40)


def _stops_at(curve: np.ndarray) -> int | None:
    return next((epoch for epoch in range(1, len(curve) + 1) if should_stop(curve[:epoch])), None)


def test_a_loss_that_falls_is_never_stopped() -> None:
    assert _stops_at(FALLING) is None


@pytest.mark.parametrize("slope", [0.001, 0.01])
def test_a_smooth_loss_that_has_turned_is_stopped_when_the_later_half_of_the_wait_is_above(slope: float) -> None:
    # Half of the wait w lies above 0.3% as soon as slope * w / 2 > 0.003 * lowest, and no earlier than the least wait.
    lowest = 2.0
    curve = np.concatenate([np.linspace(4.0, lowest, 50), lowest * (1 + slope * np.arange(1, 150))])
    wait = _stops_at(curve) - 50
    assert wait == pytest.approx(max(MIN_WAIT, 2 * 0.003 / slope), abs=2)


def test_a_loss_that_stands_still_is_waited_for_longer_the_later_its_minimum() -> None:
    assert _stops_at(np.concatenate([FALLING[:50], np.full(300, FALLING[49])])) == 50 + LONG_WAIT
    slow = 1.0 + np.exp(-np.arange(400) / 80)
    assert _stops_at(np.concatenate([slow, np.full(300, slow[-1])])) == 400 + 200  # 399 / 2, rounded up.


def test_noise_that_a_patience_of_20_would_stop_at_is_waited_out() -> None:
    generator = np.random.default_rng(0)
    curves = FALLING + generator.normal(0, 0.02, (50, 200))
    patience = [any(curve[:e].argmin() <= e - 21 for e in range(21, 201)) for curve in curves]
    assert sum(_stops_at(curve) is not None for curve in curves) < sum(patience) / 2


def test_one_epoch_close_to_the_minimum_is_a_reason_to_go_on() -> None:
    rising = np.concatenate([np.linspace(2.0, 1.0, 30), np.linspace(1.0, 1.1, 31)])
    assert should_stop(rising)
    rising[-5] = 1.001
    assert not should_stop(rising)


def test_values_that_are_not_finite_are_no_improvement() -> None:
    assert not should_stop(np.full(LONG_WAIT, np.nan))
    assert should_stop(np.full(LONG_WAIT + 1, np.nan))
    assert should_stop(np.concatenate([FALLING[:50], np.full(LONG_WAIT, np.nan)]))
    assert not should_stop(np.concatenate([np.full(50, np.nan), FALLING]))
