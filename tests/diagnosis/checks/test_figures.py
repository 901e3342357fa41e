"""What a finding says in figures, and how far it is beyond its limit, is arithmetic on what was measured."""

from __future__ import annotations

from typing import Any

import pytest
from known_runs import RUNS

from tfday7.diagnosis.check import CHECKS

# Check -> its known run, figures of its finding, its margin: 90% of saturated outputs are 0.8 times the limit of 50%
# above it, and a shift of 0.95 is 0.8 of the way from its limit of 0.75 to 1.
FIGURES: dict[str, tuple[str, dict[str, Any], float]] = {
    "saturated": ("saturated", {"layer": "hidden", "activation": "tanh", "saturated_percent": 90.0}, 0.8),
    "shift": ("elsewhere", {"shift": 0.95, "limit": 0.75}, 0.8),
    "batchnorm": ("wrong statistics", {"layer": "norm", "statistics_gap": 2.0}, 3.0),
    "rate_high": ("thrown about", {"change": 20.0}, 3.0),
    "rate_low": ("hardly moved", {"change_percent": 0.1, "epochs": 30}, 1.0),
}


@pytest.mark.parametrize("check", sorted(FIGURES))
def test_figures_and_margin_are_those_of_the_evidence(check: str) -> None:
    name, figures, margin = FIGURES[check]
    match = CHECKS.get(check)(RUNS[name][0])
    assert match is not None
    assert {key: match.finding.evidence[key] for key in figures} == pytest.approx(figures)
    assert match.margin == pytest.approx(margin)
