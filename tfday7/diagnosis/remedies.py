"""The flags that apply a remedy to the run at hand; "" where its model or its data does not take the flag."""

from __future__ import annotations

from tfday7.diagnosis.evidence import Evidence
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.config import ModelConfig


def width(evidence: Evidence, factor: float) -> str:
    """Returns the flag for a model that is wider by a factor."""
    name = _architecture(evidence)
    if not name:
        return ""
    before = int(evidence.flags.get("width") or ARCHITECTURES.get(name).width)
    return f"--width={max(1, round(before * factor))}"


def more_dropout(evidence: Evidence) -> str:
    """Returns the flag for a dropout rate that is higher by 0.2, up to 0.6."""
    before = float(evidence.flags.get("dropout") or 0)
    return f"--dropout={max(before, min(before + 0.2, 0.6)):g}" if _architecture(evidence) else ""


def more_l2(evidence: Evidence) -> str:
    """Returns the flag for a tenfold L2 penalty, at least 0.0001."""
    before = float(evidence.flags.get("l2") or 0)
    return f"--l2={max(before * 10, 1e-4):g}" if _architecture(evidence) else ""


def no_regularization(evidence: Evidence) -> str:
    """Returns the flags that take dropout and L2 away."""
    return "--dropout=0 --l2=0" if _architecture(evidence) else ""


def augment(evidence: Evidence) -> str:
    """Returns the flag for an augmentation that the data takes."""
    return "--augment=shift" if evidence.kind == "image" else "--augment=noise"


def lower_rate(evidence: Evidence, divisor: float, otherwise: float) -> str:
    """Returns the flag for a learning rate divided by a number; `otherwise` is for runs with the optimizer's own."""
    given = evidence.flags.get("learning_rate")
    return f"--learning_rate={float(given) / divisor if given else otherwise:.3g}"


def _architecture(evidence: Evidence) -> str:
    """Returns the run's architecture, or "" when the model brings its own layers, which no flag scales."""
    name = evidence.flags.get("model", ModelConfig.model)
    return name if name in ARCHITECTURES.names() else ""
