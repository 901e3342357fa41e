"""What mattered, the spread, and when a target was reached: against functions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.tuning import findings
from tfday7.tuning.parameters import Parameter
from tfday7.tuning.search import Trial
from tfday7.tuning.space import Space
from tfday7.tuning.trial import Outcome

SPACE = Space(
    (
        Parameter("learning_rate", (1e-4, 1e-1), "log"),
        Parameter("weight_decay", (1e-5, 1e-1), "log"),
        Parameter("batch_size", (16, 32), "choice"),
    )
)


def _trial(number: int, value: float | None, **values: float) -> Trial:
    reason = "" if value is not None else "stalled"
    return Trial(number, values, Outcome(value, reason, (value,), 1, 2.0))


def _random(value_of: object, trials: int = 40) -> list[Trial]:
    generator = np.random.default_rng(0)
    found = []
    for number in range(1, trials + 1):
        values = {p.key: p.at(generator.uniform()) for p in SPACE.parameters}
        found.append(_trial(number, value_of(values), **values))  # type: ignore[operator, arg-type]
    return found


def test_the_setting_that_decides_has_nearly_all_of_the_share() -> None:
    shares = findings.importance(_random(lambda values: -abs(np.log10(values["learning_rate"] / 0.01))), SPACE)
    assert shares[0]["name"] == "learning_rate"
    assert shares[0]["share"] > 0.9
    assert sum(entry["share"] for entry in shares) == pytest.approx(1.0, abs=0.001)


def test_a_choice_can_be_what_decides() -> None:
    shares = findings.importance(_random(lambda values: float(values["batch_size"] == 16)), SPACE)
    assert shares[0]["name"] == "batch_size"
    assert shares[0]["share"] > 0.9


def test_few_trials_or_equal_ones_say_nothing() -> None:
    assert findings.importance(_random(lambda values: values["learning_rate"], trials=7), SPACE) == []
    assert findings.importance(_random(lambda values: 0.5), SPACE) == []


@pytest.mark.parametrize(("direction", "number"), [("max", 2), ("min", 3)])
def test_the_best_is_the_first_of_equals_and_never_an_infeasible_one(direction: str, number: int) -> None:
    trials = [_trial(1, None), _trial(2, 0.9), _trial(3, 0.1), _trial(4, 0.9), _trial(5, 0.1)]
    best = findings.best_of(trials, direction)
    assert best is not None
    assert best.number == number
    assert findings.best_of(trials[:1], direction) is None


def test_the_spread_is_the_sample_standard_deviation() -> None:
    assert findings.spread([1.0, 2.0, 4.0]) == {
        "mean": pytest.approx(7 / 3), "std": pytest.approx(np.std([1, 2, 4], ddof=1)), "low": 1.0, "high": 4.0,
    }  # fmt: skip
    assert findings.spread([0.5])["std"] == 0.0


def test_seconds_to_the_target_count_infeasible_trials_too() -> None:
    trials = [_trial(1, None), _trial(2, 0.5), _trial(3, 0.8), _trial(4, 0.9)]
    assert findings.reached(trials, 0.8, "max") == {"trial": 3, "seconds": 6.0}
    assert findings.reached(trials, 0.6, "min") == {"trial": 2, "seconds": 4.0}
    assert findings.reached(trials, 0.95, "max") is None
