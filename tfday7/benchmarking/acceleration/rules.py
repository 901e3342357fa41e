"""What the targets that are judged by documented rules have in common: a rule looks at one operator at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tfday7.benchmarking.acceleration.judgement import Judgement, OpVerdict, Remark, judgement
from tfday7.benchmarking.acceleration.macs import macs_of
from tfday7.benchmarking.acceleration.operators import Operator, operators
from tfday7.core.errors import UserError
from tfday7.exporting.tflite_contents import Summary

CONTROL = ("WHILE", "IF", "CALL", "CALL_ONCE")


Rule = Callable[[Operator], Remark | None]


def by_rule(
    target: str, title: str, summary: Summary, rule: Rule, notes: Sequence[Remark] = (), in_loops: bool = False
) -> Judgement:
    """Returns the judgement of a rule.

    Args:
        target: its name in the registry.
        title: its name in sentences.
        summary: the file.
        rule: why an operator is not accelerated, or None; it is asked of no custom operator and of no loop.
        notes: for the judgement.
        in_loops: whether the target takes operators inside of loops.
    """
    return judgement(target, verdicts(title, summary, rule, in_loops), measured=False, notes=notes)


def verdicts(title: str, summary: Summary, rule: Rule, in_loops: bool = False) -> list[OpVerdict]:
    """Returns each operator's verdict by a rule, as `by_rule` uses it."""
    return [verdict(operator, reason(operator, title, rule, in_loops)) for operator in operators(summary)]


def verdict(operator: Operator, why: Remark | None) -> OpVerdict:
    """Returns the verdict on an operator."""
    name = operator.outputs[0].name if operator.outputs else ""
    node = operator.node
    return OpVerdict(node.index, node.op, name, macs_of(operator), why, node.subgraph)


def reason(operator: Operator, title: str, rule: Rule, in_loops: bool = False) -> Remark | None:
    """Returns why an operator is not accelerated: what holds for every target, then the target's own rule."""
    op = operator.op
    if operator.node.custom:
        return Remark("reason.flex" if op.startswith("Flex") else "reason.custom", {"op": op})
    if op in CONTROL:
        return Remark("reason.control", {"op": op})
    if operator.node.subgraph != 0 and not in_loops:
        return Remark("reason.loop", {"op": op, "target": title})
    return rule(operator)


def needs_tflite(path: Path, summary: Summary | None, title: str) -> Summary:
    """Returns the summary. Raises UserError where there is none, since the target runs `.tflite` files alone."""
    if summary is None:
        raise UserError(
            f"{path}: {title} runs .tflite files alone",
            "export to TFLite as well: python -m tfday7.export --formats=tflite",
        )
    return summary


def first(reasons: Iterable[Remark | None]) -> Remark | None:
    """Returns the first reason there is."""
    return next((found for found in reasons if found is not None), None)


def open_size(operator: Operator, title: str) -> Remark | None:
    """Returns a reason where a size is open, so that nothing can be prepared for it."""
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if -1 in tensor.signature:
            return Remark("reason.open_size", {"op": operator.op, "tensor": tensor.name, "target": title})
    return None


def wrong_type(operator: Operator, title: str, types: Sequence[str]) -> Remark | None:
    """Returns a reason where an operator computes with other types than these."""
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if tensor.dtype not in types:
            values = {"op": operator.op, "tensor": tensor.name, "dtype": tensor.dtype, "target": title}
            return Remark("reason.type", {**values, "types": ", ".join(types)})
    return None


def wrong_activation(operator: Operator, title: str, allowed: Sequence[str]) -> Remark | None:
    """Returns a reason where an activation is fused in that the target cannot fuse."""
    if operator.activation in allowed:
        return None
    values = {"op": operator.op, "activation": operator.activation, "target": title}
    return Remark("reason.activation", values)


def not_constant(operator: Operator, title: str, places: Iterable[int]) -> Remark | None:
    """Returns a reason where an input that has to be constant is computed."""
    for at in places:
        tensor = operator.input(at)
        if tensor is not None and not tensor.is_constant:
            return Remark("reason.not_constant", {"op": operator.op, "tensor": tensor.name, "target": title})
    return None


def unsupported(operator: Operator, title: str) -> Remark:
    """Returns the reason that the target has no such operator."""
    return Remark("reason.operator", {"op": operator.op, "target": title})


def option(operator: Operator, title: str, said: str) -> Remark:
    """Returns the reason that the target does not take an operator as it is here.

    Args:
        said: how it is, in the terms of the file, for example "beta=2".
    """
    return Remark("reason.option", {"op": operator.op, "target": title, "option": said})
