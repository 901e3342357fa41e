"""Layers through which nothing can be learned: they start wrong, die, saturate, stand still, or pass no gradient."""

from __future__ import annotations

import math

from tfday7.diagnosis import remedies
from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import (
    falls_short,
    first_probe,
    hidden,
    is_poor,
    kernels,
    last_probe,
    learned_nothing,
    suffers,
)
from tfday7.diagnosis.records import finding

# The figures in brackets are those of the calibration half of benchmarks/diagnosis.py: healthy runs | the fault's.
MAX_FIRST_LOSS = 20.0  # Times what guessing gives (0.6 to 2.0 | 6,500 and more).
MAX_DEAD = 0.95  # Share of a layer's units, of every run (at most 0.38 | 1),
MAX_DEAD_WHERE_POOR = 0.5  # and of one that is poor.
MAX_SATURATED = 0.5  # Share of a layer's outputs (none with such layers | 0.98 and more).
MIN_GRADIENT_RATIO = 1e-3  # First kernel over last (0.05 and more | at most 3e-8); a sigmoid takes a factor of 4.
MAX_STATISTICS_GAP = 0.5  # Deviations between moving statistics and those of a batch (none | 0.81 and more).


@CHECKS.register("zero_weights")
def zero_weights(evidence: Evidence) -> Match | None:
    """All kernels but the last start at zero: every unit of a layer stays like every other."""
    probe = first_probe(evidence)
    inner = [layer for layer in kernels(probe)[:-1] if layer.kind != "Embedding"] if probe else []
    if not inner or any(layer.weight for layer in inner):
        return None
    values = {"layer": inner[0].name, "layers": len(inner)}
    flags = {"initialize": "", "file": ""}
    return Match("broken", finding("zero_weights", "error", values, ["constant", "file", "masked"], flags), 1.0)


@CHECKS.register("initialization")
def initialization(evidence: Evidence) -> Match | None:
    """The first weights, or the inputs, are so large that the first answers are wild."""
    ratio = first_loss_ratio(evidence)
    if ratio is None or ratio <= MAX_FIRST_LOSS:
        return None
    poor = suffers(evidence)
    flags = {
        "initialize": "",
        "normalization": "",
        "clip": remedies.clipping(evidence),
        "warmup": remedies.warmup(evidence),
    }
    found = finding(
        "initialization", "error" if poor else "warning", {"ratio": ratio}, ["scale", "unscaled", "depth"], flags
    )
    return Match("broken" if poor else "", found, margin=ratio / MAX_FIRST_LOSS - 1.0)


def first_loss_ratio(evidence: Evidence) -> float | None:
    """Returns the loss before training over what guessing gives: the logarithm of the classes, or 1 for values."""
    probe, data = first_probe(evidence), evidence.health.data
    if probe is None or probe.loss is None or data is None:
        return None
    if evidence.task == "classification":
        return probe.loss / math.log(len(data.class_counts)) if len(data.class_counts) > 1 else None
    return probe.loss if evidence.task == "regression" else None


@CHECKS.register("dead_units")
def dead_units(evidence: Evidence) -> Match | None:
    """Units of a rectifier that are zero for every example get no gradient and never wake up."""
    probe = last_probe(evidence)
    layers = [layer for layer in hidden(probe) if layer.dead_share is not None] if probe else []
    if not layers:
        return None
    poor = suffers(evidence)
    worst = max(layers, key=lambda layer: layer.dead_share or 0.0)
    share = worst.dead_share or 0.0
    threshold = MAX_DEAD_WHERE_POOR if poor else MAX_DEAD
    if share <= threshold:
        return None
    before = first_probe(evidence)
    started = {layer.name: layer.dead_share or 0.0 for layer in before.layers}.get(worst.name, 0.0) if before else 0.0
    values = {"layer": worst.name, "dead_percent": 100.0 * share, "dead_at_start_percent": 100.0 * started}
    causes = ["start", "rate", "unscaled"] if started > threshold else ["rate", "unscaled", "start"]
    flags = {
        "rate": remedies.lower_rate(evidence, 10),
        "clip": remedies.clipping(evidence),
        "initialize": "",
        "leaky": "",
    }
    found = finding("dead_units", "error" if poor else "warning", values, causes, flags)
    return Match("broken" if poor else "", found, (share - threshold) / threshold)


@CHECKS.register("saturated")
def saturated(evidence: Evidence) -> Match | None:
    """Outputs of tanh or sigmoid at the ends of their range, where the slope is nearly zero."""
    probe = last_probe(evidence)
    layers = [layer for layer in hidden(probe) if layer.saturated_share is not None] if probe else []
    if not layers:
        return None
    worst = max(layers, key=lambda layer: layer.saturated_share or 0.0)
    share = worst.saturated_share or 0.0
    if share <= MAX_SATURATED:
        return None
    poor = suffers(evidence)
    values = {"layer": worst.name, "activation": worst.activation, "saturated_percent": 100.0 * share}
    flags = {"initialize": "", "normalization": "", "relu": "", "rate": remedies.lower_rate(evidence, 10)}
    found = finding("saturated", "error" if poor else "warning", values, ["scale", "unscaled", "rate"], flags)
    return Match("broken" if poor else "", found, (share - MAX_SATURATED) / MAX_SATURATED)


@CHECKS.register("vanishing")
def vanishing(evidence: Evidence) -> Match | None:
    """Nearly no gradient reaches the first layers."""
    probe = first_probe(evidence)
    trained = [layer for layer in kernels(probe) if layer.gradient is not None] if probe else []
    gradients = [layer for layer in trained if layer.kind != "Embedding"]  # Of whose rows a batch touches few.
    if len(gradients) < 3 or not (is_poor(evidence) or learned_nothing(evidence)):
        return None
    first, last = gradients[0], gradients[-1]
    ratio = (first.gradient or 0.0) / max(last.gradient or 0.0, 1e-30)
    if ratio >= MIN_GRADIENT_RATIO or not last.gradient or first.weight == 0:
        return None
    values = {"layer": first.name, "last_layer": last.name, "gradient_ratio": ratio, "layers": len(gradients)}
    flags = {"relu": "", "normalization": "", "shallower": remedies.shallower(evidence), "initialize": ""}
    found = finding("vanishing", "error", values, ["activation", "depth", "scale"], flags)
    return Match("broken", found, margin=1.0)


@CHECKS.register("frozen")
def frozen(evidence: Evidence) -> Match | None:
    """Half of the layers or more are not trained, and the run is poor."""
    probe = last_probe(evidence)
    layers = kernels(probe) if probe else []
    still = [layer for layer in layers if layer.gradient is None]
    if not still or 2 * len(still) < len(layers) or not (is_poor(evidence) or learned_nothing(evidence)):
        return None
    values = {"layer": still[0].name, "frozen_layers": len(still), "layers": len(layers)}
    thaw = "--unfreeze_epochs=1" if evidence.flags.get("freeze") == "true" else ""
    flags = {"thaw": thaw, "pretrained": "", "wider": None if thaw else ""}
    found = finding("frozen", "error", values, ["trainable", "weights", "head"], flags)
    return Match("broken", found, margin=1.0)


@CHECKS.register("batchnorm")
def batchnorm(evidence: Evidence) -> Match | None:
    """The moving statistics of BatchNormalization are not those of the data, so that inference goes wrong."""
    probe = last_probe(evidence)
    layers = [layer for layer in probe.layers if layer.statistics_gap is not None] if probe else []
    if not layers or not (falls_short(evidence) or is_poor(evidence)):  # In training mode such a run looks well.
        return None
    worst = max(layers, key=lambda layer: layer.statistics_gap or 0.0)
    gap = worst.statistics_gap or 0.0
    if gap <= MAX_STATISTICS_GAP:
        return None
    values = {"layer": worst.name, "statistics_gap": gap}
    flags = {"momentum": "", "longer": remedies.longer(evidence), "batch": ""}
    found = finding("batchnorm", "error", values, ["momentum", "short", "batch"], flags)
    return Match("broken", found, (gap - MAX_STATISTICS_GAP) / MAX_STATISTICS_GAP)
