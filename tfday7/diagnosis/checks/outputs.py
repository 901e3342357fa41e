"""An output that cannot give the answers that the labels ask for."""

from __future__ import annotations

from tfday7.diagnosis.check import CHECKS, Match
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.measures import last_probe, suffers
from tfday7.diagnosis.records import finding

SOUND = {"classification": ("", "softmax", "sigmoid"), "multilabel": ("", "sigmoid"), "regression": ("",)}


@CHECKS.register("output_activation")
def output_activation(evidence: Evidence) -> Match | None:
    """A last activation that cuts answers off: relu on logits, a bounded one on values."""
    probe = last_probe(evidence)
    if probe is None or probe.last_activation in SOUND.get(evidence.task, (probe.last_activation,)):
        return None
    bad = suffers(evidence)
    if not bad and evidence.task == "regression":  # Positive values may well end in softplus.
        return None
    values = {"activation": probe.last_activation, "task": evidence.task}
    flags = {"linear": "", "head": "--head=new"}
    found = finding("output_activation", "error" if bad else "warning", values, ["copied", "hidden", "range"], flags)
    return Match("broken" if bad else "", found, margin=1.0)
