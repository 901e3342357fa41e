"""Learning rates against their closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tfday7.optimizers.schedules import WarmupSchedule

PEAK, TOTAL = 0.4, 100
COURSES = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: 1 - progress,
}


@pytest.mark.parametrize("warmup", [0, 1, 20, 100])
@pytest.mark.parametrize("name", sorted(COURSES))
@pytest.mark.parametrize("step", [0, 1, 10, 19, 20, 21, 60, 99, 100, 500])
def test_the_rate_is_the_closed_form(name: str, warmup: int, step: int) -> None:
    rise = min((step + 1) / warmup, 1.0) if warmup else 1.0
    progress = min(max((step - warmup) / max(TOTAL - warmup, 1), 0.0), 1.0)
    rate = WarmupSchedule(name, PEAK, warmup, TOTAL)(step)
    assert rate.dtype == np.float32
    assert float(rate) == pytest.approx(PEAK * rise * COURSES[name](progress), abs=1e-7)


def test_the_first_step_already_learns_and_the_peak_is_the_last_of_the_warm_up() -> None:
    schedule = WarmupSchedule("cosine", PEAK, 10, TOTAL)
    assert float(schedule(0)) == pytest.approx(0.04)
    assert float(schedule(9)) == pytest.approx(0.4) == float(schedule(10))


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_the_rate_falls_all_the_way_to_zero(name: str) -> None:
    rates = [float(WarmupSchedule(name, PEAK, 10, TOTAL)(step)) for step in range(10, TOTAL + 1)]
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(0.0, abs=1e-7)
    assert rates[45] == pytest.approx(PEAK / 2, rel=1e-5)  # Half of the way: both are at half of the peak.


def test_a_schedule_is_rebuilt_from_its_config() -> None:
    schedule = WarmupSchedule("linear", 0.1, 5, 50)
    again = WarmupSchedule.from_config(schedule.get_config())
    assert float(again(17)) == float(schedule(17))
