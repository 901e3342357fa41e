"""A training loss that rises again."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.diagnosis.checks.unstable import check
from tfday7.diagnosis.evidence import Evidence

FALLING = np.linspace(2.0, 0.5, 20)


def _ending_at(value: float) -> Evidence:
    loss = np.concatenate([FALLING, [0.5] * 3, np.linspace(0.5, value, 10), [value] * 3])
    return Evidence(loss, loss)


@pytest.mark.parametrize(("end", "found"), [(0.5, False), (0.99, False), (1.01, True), (50.0, True)])
def test_a_loss_that_doubles_again_is_unstable(end: float, found: bool) -> None:
    assert (check(_ending_at(end)) is not None) == found


def test_the_evidence_is_the_curves_arithmetic() -> None:
    match = check(_ending_at(2.0))
    assert match is not None
    assert match.finding.evidence == pytest.approx({"best_epoch": 20, "lowest": 0.5, "last": 2.0, "rise": 4.0})
    assert match.margin == pytest.approx((4.0 - 2.0) / 2.0)
    assert match.finding.remedies[0].flag == "--learning_rate=0.000333"  # A third of Adam's own 0.001.


@pytest.mark.parametrize(
    "loss",
    [
        FALLING,
        FALLING[:4],
        np.where(np.arange(20) == 10, 9.0, FALLING),
        np.full(20, np.nan),
        np.append(FALLING / 1e5, 1e-4),
    ],
    ids=["falling", "short", "one bad epoch", "nan", "near zero"],
)
def test_other_curves_do_not_alarm(loss: np.ndarray) -> None:
    assert check(Evidence(loss, loss)) is None
