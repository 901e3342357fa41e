"""Steps that are too large to settle, or too small to get anywhere."""

from __future__ import annotations

import statistics

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import first_probe, is_poor, kernels, last_probe, learned_nothing
from tfday7.diagnosis.records import finding

# Change of the kernels, relative to their first size; median of the layers. In the calibration half of
# benchmarks/diagnosis.py healthy runs have 0.18 to 3.1, rates too high 90 and more, rates too low at most 0.0023.
MAX_CHANGE = 5.0
MIN_CHANGE = 0.05


@CHECKS.register("rate_high")
def rate_high(evidence: Evidence) -> Match | None:
    """The weights were thrown far from their start, and nothing good came of it."""
    change = relative_change(evidence)
    if change is None or change <= MAX_CHANGE or not (is_poor(evidence) or learned_nothing(evidence)):
        return None
    values = {"change": change, "learning_rate": evidence.flags.get("learning_rate") or "default"}
    flags = {
        "rate": remedies.lower_rate(evidence, 30),
        "find": remedies.find_rate(evidence),
        "warmup": remedies.warmup(evidence),
        "clip": remedies.clipping(evidence),
        "momentum": remedies.lower_momentum(evidence),
    }
    found = finding("rate_high", "error", values, ["rate", "momentum", "unscaled"], flags)
    return Match("broken", found, change / MAX_CHANGE - 1.0)


@CHECKS.register("rate_low")
def rate_low(evidence: Evidence) -> Match | None:
    """The weights have hardly moved, and the result is poor."""
    change = relative_change(evidence)
    if change is None or change >= MIN_CHANGE or not (is_poor(evidence) or learned_nothing(evidence)):
        return None
    values = {
        "change_percent": 100.0 * change,
        "learning_rate": evidence.flags.get("learning_rate") or "default",
        "epochs": evidence.epochs,
    }
    flags = {
        "rate": remedies.higher_rate(evidence, 100),
        "find": remedies.find_rate(evidence),
        "clip": remedies.no_clipping(evidence),
        "longer": remedies.longer(evidence),
    }
    causes = ["rate", "clipping", "short"] if flags["clip"] is None else ["clipping", "rate", "short"]
    return Match("underfit", finding("rate_low", "warning", values, causes, flags), margin=1.0)


def relative_change(evidence: Evidence) -> float | None:
    """Returns how far the trained kernels went, relative to their first size; the median of the layers."""
    probe = last_probe(evidence)
    start = first_probe(evidence)
    first = {layer.name: layer.weight for layer in start.layers} if start else {}
    changes = [
        layer.change / size
        for layer in (kernels(probe) if probe else [])
        if (size := first.get(layer.name)) and layer.gradient is not None and layer.change is not None
    ]
    return statistics.median(changes) if changes else None
