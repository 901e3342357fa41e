"""Steps per call follow the measured time of a step."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.core.frameworks import tf
from tfday7.training.callbacks.pacing import FIRST_STEPS, TARGET_SECONDS, Pacing, first_steps


class Model:
    steps_per_execution = FIRST_STEPS
    distribute_strategy = tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("step_seconds", "steps_per_epoch", "expected"),
    [
        (0.0025, 10_000, TARGET_SECONDS / 0.0025),
        (0.0025, 40, 40),  # Not more than an epoch.
        (3.0, 10_000, 1),  # Not less than one step.
    ],
)
def test_a_call_takes_about_the_target(
    step_seconds: float, steps_per_epoch: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("tfday7.training.callbacks.pacing.time.perf_counter", lambda: now[0])
    model: Any = Model()
    pacing = Pacing(steps_per_epoch)
    pacing.set_model(model)
    for call, seconds in enumerate((60.0, step_seconds * FIRST_STEPS, 0.0)):  # The first call traces the graph.
        pacing.on_train_batch_begin(call * FIRST_STEPS)
        now[0] += seconds
        pacing.on_train_batch_end((call + 1) * FIRST_STEPS - 1)
    assert model.steps_per_execution == pytest.approx(expected, abs=1)


def test_the_mean_time_of_a_step_leaves_out_the_call_that_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tfday7.training.callbacks.pacing.time.perf_counter", lambda: now[0])
    pacing = Pacing(1000)
    pacing.set_model(Model())
    assert pacing.step_ms() is None
    for first, last, seconds in ((0, 7, 60.0), (8, 15, 0.8), (16, 19, 0.1)):
        pacing.on_train_batch_begin(first)
        now[0] += seconds
        pacing.on_train_batch_end(last)
    assert pacing.step_ms() == pytest.approx((800 + 100) / (8 + 4))


def test_an_epoch_of_one_step_stays_as_it_is() -> None:
    assert first_steps(1) == 1
    assert first_steps(1000) == FIRST_STEPS
